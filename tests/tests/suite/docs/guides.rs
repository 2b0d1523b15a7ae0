//! The guides: each runs once, in English; the Portuguese one has the same examples.

use super::{
    fences::{self, Treatment, prose},
    node_options, root, run, run_in, walk,
};
use nebula_tests::{Edge, Supabase, SupabaseGateway, supabase::Account};
use std::{
    fs,
    process::{Command, Stdio},
};

/// Whether this module runs a page, or holds it against one that it runs.
pub fn runs(page: &str) -> bool {
    page.starts_with("docs/guides/") || page.starts_with("docs/pt-BR/guides/")
}

#[test]
fn quick_start() {
    run("docs/guides/quick-start.md");
}

#[test]
fn concepts() {
    run("docs/guides/concepts.md");
}

#[test]
fn sql() {
    run("docs/guides/sql.md");
}

#[test]
fn rest() {
    run("docs/guides/rest.md");
}

/// A database like Supabase's with Nebula and Supabase Auth in it, an edge on it, and what an application sees of Supabase.
fn stack() -> (Supabase, Edge, SupabaseGateway) {
    let supabase = Supabase::with_auth();
    let edge = supabase.database.serve();
    let gateway = SupabaseGateway::start(&supabase);
    (supabase, edge, gateway)
}

#[test]
fn supabase() {
    let (supabase, edge, gateway) = stack();
    let variables = [
        ("SUPABASE_URL", gateway.url()),
        ("SUPABASE_ANON_KEY", SupabaseGateway::key("anon")),
        ("SUPABASE_SERVICE_ROLE_KEY", SupabaseGateway::key("service_role")),
    ];
    run_in("docs/guides/supabase.md", &supabase.database, &edge.base, &variables);
}

#[test]
fn nextjs() {
    let (mut supabase, edge, gateway) = stack();
    let acme = supabase.tenant("acme");
    supabase.person(&acme, "bia@acme.example", &["ADM_CLIENTE"]);
    let bia = Account::new("bia@acme.example");
    let token = supabase.log_in_member(&bia);
    supabase
        .dba()
        .batch_execute(&format!(
            "create table public.appointment (id uuid primary key default gen_random_uuid(), patient text not null, starts_at timestamptz not null); \
             select nebula.protect('public.appointment', resource => 'appointments', package => 'pro', grant_to => '{{authenticated}}'); \
             insert into public.appointment (tenant_id, patient, starts_at) values ('{}', 'Davi', now())",
            acme.id
        ))
        .unwrap();

    let app = supabase.database.installation.cluster.dir.join(format!("nextjs-{}", supabase.database.name));
    let mut files = 0;
    for fence in fences::all("docs/guides/nextjs.md") {
        if let Treatment::File(path) = fence.treatment() {
            let path = app.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, fence.text).unwrap();
            files += 1;
        }
    }
    assert!(files >= 7, "{files} files of an application");
    let modules = root().join("target/js/node_modules");
    std::os::unix::fs::symlink(&modules, app.join("node_modules")).unwrap();
    for name in ["nextjs.mjs", "next-headers.mjs"] {
        fs::copy(root().join("tests/js").join(name), app.join(name)).unwrap();
    }
    let bundled = Command::new(modules.join(".bin/esbuild"))
        .args([
            "nextjs.mjs",
            "--bundle",
            "--platform=node",
            "--format=esm",
            "--target=node20",
            "--outfile=bundle.mjs",
            "--log-level=warning",
        ])
        .args(["--alias:next/headers=./next-headers.mjs", "--external:standardwebhooks", "--external:@supabase/supabase-js"])
        .current_dir(&app)
        .output()
        .unwrap();
    assert!(bundled.status.success(), "{}", String::from_utf8_lossy(&bundled.stderr));
    let driven = Command::new("node")
        .arg("bundle.mjs")
        .current_dir(&app)
        .env("NODE_OPTIONS", node_options())
        .env("NEBULA_URL", &edge.base)
        .env("OPERATOR_KEY", &supabase.database.installation.operator_key)
        .env("NEBULA_WEBHOOK_SECRET", "whsec_bmVidWxhIG5lYnVsYSBuZWJ1bGEgbmVidWxhIQ==")
        .env("SUPABASE_URL", gateway.url())
        .env("SUPABASE_ANON_KEY", SupabaseGateway::key("anon"))
        .env("SUPABASE_TOKEN", token)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&driven.stdout).into_owned() + &String::from_utf8_lossy(&driven.stderr);
    assert!(driven.status.success() && said.contains("ok"), "{said}\nthe edge:\n{}", edge.log());
}

/// Pages that exist in both languages, by their path below `docs/` and `docs/pt-BR/`.
fn translated() -> Vec<String> {
    walk().iter().filter_map(|page| page.strip_prefix("docs/pt-BR/").map(str::to_owned)).collect()
}

#[test]
fn every_guide_is_there_in_portuguese() {
    let guides =
        walk().into_iter().filter_map(|page| page.strip_prefix("docs/guides/").map(|name| format!("guides/{name}"))).collect::<Vec<_>>();
    assert_eq!(guides.len(), 6, "{guides:?}");
    let translated = translated();
    let also = ["README.md", "security/model.md", "security/lgpd.md"].map(str::to_owned);
    for page in guides.iter().chain(&also) {
        assert!(translated.contains(page), "docs/pt-BR/{page} is missing");
    }
}

#[test]
fn a_translated_page_has_the_headings_and_examples_of_the_english_one() {
    for page in translated() {
        let pages = [format!("docs/{page}"), format!("docs/pt-BR/{page}")];
        let [english, portuguese] = pages.each_ref().map(|page| fences::all(page));
        // A reason is prose; what runs is not.
        let info = |fence: &fences::Fence| if fence.info.contains("not-run") { "not-run".to_owned() } else { fence.info.clone() };
        for (left, right) in english.iter().zip(&portuguese) {
            assert!(
                info(left) == info(right) && (left.text == right.text || left.treatment() == Treatment::Drawing),
                "{}:{} and {}:{} are other examples",
                pages[0],
                left.line,
                pages[1],
                right.line
            );
        }
        assert_eq!(english.len(), portuguese.len(), "{page}: examples");
        let levels = pages.each_ref().map(|page| {
            prose(page)
                .iter()
                .filter(|line| line.starts_with('#'))
                .map(|line| line.chars().take_while(|letter| *letter == '#').count())
                .collect::<Vec<_>>()
        });
        assert_eq!(levels[0], levels[1], "{page}: headings");
        let rows = pages.each_ref().map(|page| prose(page).iter().filter(|line| line.starts_with('|')).count());
        assert_eq!(rows[0], rows[1], "{page}: rows of tables");
    }
}
