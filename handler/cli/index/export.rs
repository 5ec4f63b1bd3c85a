//! `handler index export`: every passage as a line of JSON, for those who want to take their index along or look into it.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use clap::Args;
use tempfile::NamedTempFile;

use super::segments;
use crate::app::App;
use crate::error::{Error, ErrorKind, Result};
use crate::index::segments::export::{Exported, ExportedPassage};

pub(super) const AFTER_HELP: &str = "\
This is for the operator: it writes ALL passages, also those that only some may read or nobody. A line's `readers` says who
may. Keep the file as you keep the documents; one written with --out is readable by you alone.

A line has: id, document (its id), name, title, ordinal, page or place where the format has them, heading_path, text,
readers, version (modified, etag), content_hash, category when there is one, and with --vectors embedding (model, values).
Values are what the index keeps: one unit long, rounded to 16 bits. All lines are of one generation of the index.

Ends with status 1 when part of the index is damaged, and its passages therefore missing.

Example:
  handler index export | jq -r 'select(.readers | index(\"everyone\") | not) | .name' | sort -u";

#[derive(Args)]
pub(super) struct ExportArgs {
    /// Write to this file instead of standard output; it appears when it is complete
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// With the embeddings
    #[arg(long)]
    vectors: bool,
}

/// Exports, a passage at a time. The lines are JSON with and without `--json`; that one asks for a summary too, on standard
/// error when the lines go to standard output.
pub(super) async fn run(app: &App, args: ExportArgs, json: bool) -> Result<ExitCode> {
    let segments = segments(app)?;
    let exported = match &args.out {
        None => {
            let out = BufWriter::new(io::stdout());
            let out = Arc::new(Mutex::new(out));
            let exported = segments.export_all_passages(args.vectors, line_into(&out)).await?;
            out.lock().expect("no holder of this lock panics").flush().map_err(cannot_write)?;
            exported
        }
        Some(path) => {
            // A file of its own in the same folder, so that nobody takes half an export for a whole one.
            let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
            let file = NamedTempFile::new_in(folder).map_err(cannot_write)?;
            let out = Arc::new(Mutex::new(BufWriter::new(file.reopen().map_err(cannot_write)?)));
            let exported = segments.export_all_passages(args.vectors, line_into(&out)).await?;
            out.lock().expect("no holder of this lock panics").flush().map_err(cannot_write)?;
            file.persist(path).map_err(|e| cannot_write(e.error))?;
            exported
        }
    };
    tell(&exported, json);
    Ok(if exported.damaged_segments > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn tell(exported: &Exported, json: bool) {
    if json {
        eprintln!("{}", serde_json::json!(exported));
        return;
    }
    eprintln!("{} passages of generation {}", exported.passages, exported.generation);
    if exported.damaged_segments > 0 {
        let count = exported.damaged_segments;
        eprintln!("{count} segments are damaged and missing; `handler index verify --repair` makes them anew");
    }
}

fn line_into<W: Write + Send + 'static>(
    out: &Arc<Mutex<W>>,
) -> impl FnMut(&ExportedPassage) -> Result<()> + Send + 'static {
    let out = Arc::clone(out);
    move |passage| {
        let mut out = out.lock().expect("no holder of this lock panics");
        serde_json::to_writer(&mut *out, passage).map_err(|e| cannot_write(e.into()))?;
        out.write_all(b"\n").map_err(cannot_write)
    }
}

fn cannot_write(cause: io::Error) -> Error {
    Error::new(ErrorKind::Internal, "the export cannot be written").caused_by(cause)
}
