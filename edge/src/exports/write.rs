//! Out of the database, through the compressor, into whatever takes it: three that run at once, a page of rows in each.

use super::{
    archive::{self, Part},
    csv_row,
    json_row::JsonRow,
    manifest::{self, Manifest, Table},
};
use crate::{
    auth::SealingKeys,
    db::{self, ExportFormat, ExportLease, ExportPlan, Line, TableDescription},
    error::Error,
};
use bytes::Bytes;
use nebula_core::hex;
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::mpsc::{self, Receiver, Sender},
};
use tokio_postgres::Client;
use uuid::Uuid;

/// A page is about so large: rows may be a hundred bytes or a hundred thousand.
const PAGE_BYTES: usize = 1 << 20;
const FIRST_PAGE_ROWS: usize = 64;
const MAX_PAGE_ROWS: usize = 1_000;

/// What is to be written, under which lease.
pub struct Contents<'a> {
    /// Told how many rows more were written.
    pub on_rows: &'a (dyn Fn(u64) + Sync),
    /// In a transaction that reads one state of everything.
    pub client: &'a Client,
    pub lease: &'a ExportLease,
    pub format: ExportFormat,
    pub keys: &'a dyn SealingKeys,
}

/// What was written.
#[derive(Debug)]
pub struct Written {
    pub rows: u64,
    pub bytes: u64,
    /// Hexadecimal.
    pub sha256: String,
}

/// Writes the archive. On an error what was written is worth nothing: the caller takes it away.
pub async fn write(contents: &Contents<'_>, sink: &mut (impl AsyncWrite + Unpin)) -> Result<Written, Error> {
    let (parts, received) = mpsc::channel(2);
    let (chunks, compressed) = mpsc::channel(8);
    let compressing = tokio::task::spawn_blocking(move || archive::compress(received, chunks));
    let (rows, stored, compressing) = tokio::join!(contents.send(parts), store(compressed, sink), compressing);
    // Whoever stops first lets the others fail, too: the cause comes first.
    let (bytes, sha256) = stored?;
    compressing.map_err(|_| Error::Storage("the compressor panicked".to_owned()))??;
    Ok(Written { rows: rows?, bytes, sha256 })
}

async fn store(mut chunks: Receiver<Bytes>, sink: &mut (impl AsyncWrite + Unpin)) -> Result<(u64, String), Error> {
    let (mut bytes, mut digest) = (0, Sha256::new());
    while let Some(chunk) = chunks.recv().await {
        bytes += chunk.len() as u64;
        digest.update(&chunk);
        sink.write_all(&chunk).await.map_err(|error| Error::Storage(error.to_string()))?;
    }
    Ok((bytes, hex::encode(&digest.finalize())))
}

async fn send(parts: &Sender<Part>, part: Part) -> Result<(), Error> {
    parts.send(part).await.map_err(|_| Error::Storage("the file could not be written".to_owned()))
}

impl Contents<'_> {
    /// Sends every table and the manifest; how many rows.
    async fn send(&self, parts: Sender<Part>) -> Result<u64, Error> {
        let plan = db::export_tables(self.client, self.lease).await?;
        let mut tables = Vec::with_capacity(plan.tables.len());
        for table in &plan.tables {
            tables.push(self.send_table(plan.tenant.id, table, &parts).await?);
        }
        let rows = tables.iter().map(|table| table.rows).sum();
        let manifest = self.manifest(plan, tables);
        let text = serde_json::to_vec_pretty(&manifest).map_err(|error| Error::Storage(error.to_string()))?;
        send(&parts, Part::File(manifest::NAME.to_owned())).await?;
        send(&parts, Part::Data(text)).await?;
        Ok(rows)
    }

    fn manifest(&self, plan: ExportPlan, tables: Vec<Table>) -> Manifest {
        Manifest {
            format: "nebula-export".to_owned(),
            format_version: 1,
            file_format: self.format,
            product_version: plan.product_version,
            schema_version: plan.schema_version,
            tenant: plan.tenant,
            tables,
            references: plan.references,
        }
    }

    async fn send_table(&self, tenant: Uuid, table: &TableDescription, parts: &Sender<Part>) -> Result<Table, Error> {
        let file = match self.format {
            ExportFormat::Json => format!("{}.ndjson", table.name),
            ExportFormat::Csv => format!("{}.csv", table.name),
        };
        send(parts, Part::File(file.clone())).await?;
        let (mut rows, mut digest) = (0, Sha256::new());
        if self.format == ExportFormat::Csv {
            let mut head = csv_row::writer();
            head.write_record(&table.columns).map_err(csv_row::broken)?;
            let head = head.into_inner().map_err(csv_row::broken)?;
            digest.update(&head);
            send(parts, Part::Data(head)).await?;
        }
        let (mut after, mut limit) = (String::new(), FIRST_PAGE_ROWS);
        loop {
            let asked = i32::try_from(limit).unwrap_or(i32::MAX);
            let page = db::export_rows(self.client, self.lease, &table.name, &after, asked).await?;
            let Some(last) = page.last() else { break };
            let is_last = page.len() < limit;
            after.clone_from(&last.place);
            rows += page.len() as u64;
            (self.on_rows)(page.len() as u64);
            let bytes = self.page(tenant, table, &page).await?;
            limit = next_limit(page.len(), bytes.len());
            digest.update(&bytes);
            send(parts, Part::Data(bytes)).await?;
            if is_last {
                break;
            }
        }
        let sha256 = hex::encode(&digest.finalize());
        Ok(Table { name: table.name.clone(), file, columns: table.columns.clone(), secrets: table.secrets.clone(), rows, sha256 })
    }

    async fn page(&self, tenant: Uuid, table: &TableDescription, page: &[Line]) -> Result<Vec<u8>, Error> {
        let (mut text, mut records) = (String::new(), csv_row::writer());
        for line in page {
            if self.format == ExportFormat::Json && table.secrets.is_empty() {
                text.push_str(&line.text);
                text.push('\n');
                continue;
            }
            let mut row = JsonRow::parse(&line.text).ok_or_else(|| Error::Database("a row is no JSON".to_owned()))?;
            row.seal(tenant, table, self.keys).await?;
            match self.format {
                ExportFormat::Csv => csv_row::append(&row, &table.columns, &mut records)?,
                ExportFormat::Json => {
                    row.append_to(&table.columns, &mut text);
                    text.push('\n');
                }
            }
        }
        match self.format {
            ExportFormat::Json => Ok(text.into_bytes()),
            ExportFormat::Csv => records.into_inner().map_err(csv_row::broken),
        }
    }
}

/// So many rows that a page has its size, if they go on like this.
fn next_limit(rows: usize, bytes: usize) -> usize {
    let fitting = rows.saturating_mul(PAGE_BYTES) / bytes.max(1);
    fitting.clamp(1, rows.saturating_mul(4).clamp(1, MAX_PAGE_ROWS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_the_size_of_rows() {
        assert_eq!(next_limit(64, 64 * 100), 256);
        assert_eq!(next_limit(1_000, 1_000 * 100), 1_000);
        assert_eq!(next_limit(64, 64 << 20), 1);
        assert_eq!(next_limit(1, 200), 4);
    }
}
