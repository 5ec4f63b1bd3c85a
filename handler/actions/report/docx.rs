//! A report for word processors: the smallest package of WordprocessingML that Word and LibreOffice open without a complaint,
//! with links from the answer to its passages.
//!
//! Format: ECMA-376, part 1, 11.3.10 (main document), 17.16.23 (hyperlinks to bookmarks).

use std::io::{Cursor, Write};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::markup::escaped;
use super::{Piece, Report};
use crate::chat::CitedPassage;
use crate::error::{Error, ErrorKind, Result};

const CONTENT_TYPES: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="xml" ContentType="application/xml"/>
<Override PartName="/word/document.xml"
  ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/>
<Override PartName="/word/styles.xml"
  ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.styles+xml"/>
<Override PartName="/docProps/core.xml" ContentType="application/vnd.openxmlformats-package.core-properties+xml"/>
</Types>"#;

const RELATIONS: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
  Target="word/document.xml"/>
<Relationship Id="r2"
  Type="http://schemas.openxmlformats.org/package/2006/relationships/metadata/core-properties"
  Target="docProps/core.xml"/>
</Relationships>"#;

const DOCUMENT_RELATIONS: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles"
  Target="styles.xml"/>
</Relationships>"#;

const STYLES: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<w:styles xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:docDefaults><w:rPrDefault>
<w:rPr><w:rFonts w:ascii="Calibri" w:hAnsi="Calibri"/><w:sz w:val="22"/></w:rPr></w:rPrDefault><w:pPrDefault>
<w:pPr><w:spacing w:after="120"/></w:pPr></w:pPrDefault></w:docDefaults>
<w:style w:type="paragraph" w:default="1" w:styleId="Normal"><w:name w:val="Normal"/></w:style>
<w:style w:type="paragraph" w:styleId="Title"><w:name w:val="Title"/><w:basedOn w:val="Normal"/><w:rPr><w:b/>
<w:sz w:val="40"/></w:rPr></w:style><w:style w:type="paragraph" w:styleId="Heading1">
<w:name w:val="heading 1"/><w:basedOn w:val="Normal"/><w:pPr><w:keepNext/><w:outlineLvl w:val="0"/></w:pPr>
<w:rPr><w:b/><w:sz w:val="30"/></w:rPr></w:style><w:style w:type="paragraph" w:styleId="Heading2">
<w:name w:val="heading 2"/><w:basedOn w:val="Normal"/><w:pPr><w:keepNext/><w:outlineLvl w:val="1"/></w:pPr>
<w:rPr><w:b/><w:sz w:val="24"/></w:rPr></w:style><w:style w:type="paragraph" w:styleId="Quote">
<w:name w:val="Quote"/><w:basedOn w:val="Normal"/><w:pPr><w:ind w:left="360"/></w:pPr></w:style></w:styles>"#;

/// Writes the report.
pub(super) fn write(report: &Report<'_>) -> Result<Vec<u8>> {
    let core = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<cp:coreProperties \
         xmlns:cp=\"http://schemas.openxmlformats.org/package/2006/metadata/core-properties\" \
         xmlns:dc=\"http://purl.org/dc/elements/1.1/\"><dc:title>{}</dc:title></cp:coreProperties>",
        escaped(report.title)
    );
    let parts = [
        ("[Content_Types].xml", CONTENT_TYPES),
        ("_rels/.rels", RELATIONS),
        ("word/_rels/document.xml.rels", DOCUMENT_RELATIONS),
        ("word/styles.xml", STYLES),
        ("docProps/core.xml", &core),
        ("word/document.xml", &document(report)),
    ];
    let failed = |e: std::io::Error| Error::new(ErrorKind::Internal, "the report cannot be packed").caused_by(e);
    let mut package = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in parts {
        package.start_file(name, SimpleFileOptions::default()).map_err(|e| failed(e.into()))?;
        package.write_all(content.as_bytes()).map_err(failed)?;
    }
    Ok(package.finish().map_err(|e| failed(e.into()))?.into_inner())
}

fn document(report: &Report<'_>) -> String {
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<w:document \
         xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\"><w:body>",
    );
    text += &paragraph("Title", &run(report.title));
    text += &paragraph("Normal", &run(&report.made.format("%Y-%m-%d %H:%M UTC").to_string()));
    if let Some(question) = report.question {
        text += &paragraph("Heading1", &run(question));
        answer(&report.answer, &mut text);
    }
    text += &paragraph("Heading1", &run("Passages"));
    report.passages.iter().for_each(|cited| passage(cited, &mut text));
    text + "</w:body></w:document>"
}

fn answer(pieces: &[Piece], text: &mut String) {
    let mut runs = String::new();
    for piece in pieces {
        match piece {
            Piece::Cite(number) => {
                let link = run(&format!(" [{number}]"));
                runs += &format!("<w:hyperlink w:anchor=\"passage{number}\">{link}</w:hyperlink>");
            }
            Piece::Text(words) => {
                for (at, line) in words.split('\n').enumerate() {
                    if at > 0 && !runs.is_empty() {
                        *text += &paragraph("Normal", &std::mem::take(&mut runs));
                    }
                    if !line.is_empty() {
                        runs += &run(line);
                    }
                }
            }
        }
    }
    *text += &paragraph("Normal", &runs);
}

fn passage(CitedPassage { number, passage }: &CitedPassage, text: &mut String) {
    let mark = format!("<w:bookmarkStart w:id=\"{number}\" w:name=\"passage{number}\"/>");
    let heading = run(&format!("[{number}] {}", passage.source()));
    *text += &paragraph("Heading2", &format!("{mark}{heading}<w:bookmarkEnd w:id=\"{number}\"/>"));
    if !passage.heading_path.is_empty() {
        *text += &paragraph("Normal", &run(&passage.heading_path.join(" › ")));
    }
    let lines = passage.text.lines().filter(|line| !line.trim().is_empty());
    lines.for_each(|line| *text += &paragraph("Quote", &run(line)));
}

fn paragraph(style: &str, runs: &str) -> String {
    format!("<w:p><w:pPr><w:pStyle w:val=\"{style}\"/></w:pPr>{runs}</w:p>")
}

fn run(text: &str) -> String {
    format!("<w:r><w:t xml:space=\"preserve\">{}</w:t></w:r>", escaped(text))
}
