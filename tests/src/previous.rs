//! The release before this one: its program, and clusters that begin with its files and live through an update (`make previous` builds it).

use crate::{
    Database, Edge, Worker, catalog,
    cluster::{Cluster, Installation, TEMPLATE, install_with, nebula, postgres_programs, workspace},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Its version.
pub const VERSION: &str = "0.1.0";

/// A file of it.
fn file(name: &str) -> PathBuf {
    let path = workspace().join("target/previous").join(VERSION).join(name);
    assert!(path.exists(), "{} is missing: run `make previous`", path.display());
    path
}

/// Its binary.
#[must_use]
pub fn program() -> PathBuf {
    file("nebula")
}

/// It knows Postgres 15 alone: beside other servers it can't be tested.
#[must_use]
pub fn runs_here() -> bool {
    let runs = postgres_programs().ends_with("15/bin");
    if !runs {
        eprintln!("skipped: {VERSION} knows Postgres 15 alone");
    }
    runs
}

/// A server's files: a tree of its own, in which releases of Nebula are exchanged.
pub struct Tree {
    programs: PathBuf,
}

impl Tree {
    /// The tree of this run again, in this folder, with the files of the previous release. Linked where that can be: files are exchanged, never written.
    #[must_use]
    pub fn of_previous(folder: &Path) -> Self {
        let tree = Self::copy(folder);
        tree.exchange(&file("nebula.so"), &file("nebula.control"), &[file(&format!("nebula--{VERSION}.sql"))]);
        tree
    }

    /// The same with the present release's files, and the install script of the one before.
    #[must_use]
    pub fn of_present(folder: &Path) -> Self {
        let tree = Self::copy(folder);
        let name = format!("nebula--{VERSION}.sql");
        fs::copy(workspace().join("sql/releases").join(&name), tree.extension().join(&name)).unwrap();
        tree
    }

    fn copy(folder: &Path) -> Self {
        let present = postgres_programs();
        let root = present.ancestors().nth(4).unwrap();
        let copy = folder.join("tree");
        let copied = |flags: &str| Command::new("cp").arg(flags).arg(root).arg(&copy).output().unwrap().status.success();
        if !copied("-al") {
            let _ = fs::remove_dir_all(&copy);
            assert!(copied("-a"), "{} can't be copied", root.display());
        }
        Self { programs: copy.join(present.strip_prefix(root).unwrap()) }
    }

    #[must_use]
    pub fn programs(&self) -> PathBuf {
        self.programs.clone()
    }

    /// What an operator does first: the present release's files in the place of the old ones.
    pub fn install_present(&self) {
        let present = Self { programs: postgres_programs() };
        let scripts = present.scripts();
        self.exchange(&present.library(), &present.extension().join("nebula.control"), &scripts);
    }

    fn library(&self) -> PathBuf {
        self.programs.with_file_name("lib").join("nebula.so")
    }

    fn extension(&self) -> PathBuf {
        let version = self.programs.parent().unwrap().file_name().unwrap();
        self.programs.ancestors().nth(4).unwrap().join("share/postgresql").join(version).join("extension")
    }

    fn scripts(&self) -> Vec<PathBuf> {
        let is_ours = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with("nebula--")
        };
        fs::read_dir(self.extension()).unwrap().map(|entry| entry.unwrap().path()).filter(is_ours).collect()
    }

    /// By rename, as `make install` and package managers do: a backend that has mapped the old library keeps it.
    fn exchange(&self, library: &Path, control: &Path, scripts: &[PathBuf]) {
        let place = |from: &Path, to: &Path| {
            let new = to.with_extension("new");
            fs::copy(from, &new).unwrap();
            fs::rename(new, to).unwrap();
        };
        for script in self.scripts() {
            fs::remove_file(script).unwrap();
        }
        place(library, &self.library());
        place(control, &self.extension().join("nebula.control"));
        for script in scripts {
            place(script, &self.extension().join(script.file_name().unwrap()));
        }
    }
}

/// An installation that the previous release's program made on the previous release's files.
pub struct Previous {
    pub tree: Tree,
    pub installation: &'static Installation,
    pub database: Database,
}

impl Previous {
    #[must_use]
    pub fn start(settings: &str) -> Self {
        let mut tree = None;
        let cluster = Cluster::prepare_with(|folder| tree.insert(Tree::of_previous(folder)).programs(), settings);
        cluster.start_again();
        let installation = install_with(&program(), cluster);
        installation
            .cluster
            .connect("postgres", "postgres")
            .batch_execute(&format!("alter database {TEMPLATE} with allow_connections true"))
            .unwrap();
        // Tests hold databases of a run's one cluster; this one lives as long, too.
        let installation: &'static Installation = Box::leak(Box::new(installation));
        Self { tree: tree.unwrap(), installation, database: Database { name: TEMPLATE.to_owned(), installation } }
    }

    /// The old edge on it.
    #[must_use]
    pub fn serve(&self, settings: &[(&str, &str)]) -> Edge {
        let edge = Edge::start_program(&program(), self.installation, &self.database.url("nebula_edge"), settings);
        crate::eventually("the old edge is ready", || edge.is_ready());
        edge
    }

    /// The old worker on it.
    #[must_use]
    pub fn work(&self, settings: &[(&str, &str)]) -> Worker {
        Worker::start_program(&program(), self.installation, &self.database.url("nebula_worker"), settings)
    }

    /// The present program's `nebula migrate`, on the files that are there.
    #[track_caller]
    pub fn migrate(&self) -> String {
        nebula(&self.database.url("postgres"), &self.installation.keys_dir, &["migrate"])
    }

    /// What an operator does, whole.
    #[track_caller]
    pub fn update(&self) -> String {
        self.tree.install_present();
        self.migrate()
    }

    /// Whether it became what a new installation is.
    #[track_caller]
    pub fn assert_like_new(&self) {
        assert_like_new(&self.database);
    }
}

/// Whether catalog and roles are those of a new installation.
#[track_caller]
pub fn assert_like_new(database: &Database) {
    let new = Database::new();
    catalog::assert_same(&catalog::timeless(&mut database.superuser()), &catalog::timeless(&mut new.superuser()));
    catalog::assert_same(&catalog::roles(&mut database.superuser()), &catalog::roles(&mut new.superuser()));
}
