//! Files made to hurt: each gives a document or an error that names the limit, soon and in little
//! memory. What only a process of its own can bound is tested where that process is.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{Cursor, Write as _};
use std::time::{Duration, Instant};

use outcrop_extract::{Error, File, Limits, extract};
use zip::write::SimpleFileOptions;

/// Far more than any of them takes, far less than one that got out of hand.
const SOON: Duration = Duration::from_secs(20);

const SMALL: Limits = Limits {
    file_bytes: 4 * 1024 * 1024,
    text_bytes: 256 * 1024,
    blocks: 2_000,
    entries: 50,
    unpacked_bytes: 4 * 1024 * 1024,
    depth: 64,
    cells: 50_000,
    pages: 100,
    drawings: 50_000,
};

fn outcome(name: &str, content: impl AsRef<[u8]>) -> Result<usize, Error> {
    let file = File {
        name: name.to_owned(),
        mime_type: None,
        content: content.as_ref().to_vec().into(),
    };
    let begun = Instant::now();
    let extracted = extract(&file, &SMALL);
    assert!(begun.elapsed() < SOON, "{name} took {:?}", begun.elapsed());
    extracted.map(|document| document.blocks.len())
}

fn refused(name: &str, content: impl AsRef<[u8]>) -> String {
    outcome(name, content)
        .expect_err("it is refused")
        .to_string()
}

fn archive(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in parts {
        archive
            .start_file(*name, SimpleFileOptions::default())
            .unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn word(body: &str) -> Vec<u8> {
    let document = format!("<w:document xmlns:w=\"w\"><w:body>{body}</w:body></w:document>");
    archive(&[("word/document.xml", document.as_bytes())])
}

/// A PDF of these objects, numbered from 1; the first is the catalogue.
fn pdf(objects: &[String]) -> Vec<u8> {
    let mut content = b"%PDF-1.7\n".to_vec();
    let mut offsets = Vec::new();
    for (number, object) in (1..).zip(objects) {
        offsets.push(content.len());
        write!(content, "{number} 0 obj\n{object}\nendobj\n").unwrap();
    }
    let table = content.len();
    write!(
        content,
        "xref\n0 {}\n0000000000 65535 f \n",
        objects.len() + 1
    )
    .unwrap();
    for offset in offsets {
        writeln!(content, "{offset:010} 00000 n ").unwrap();
    }
    write!(
        content,
        "trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n",
        objects.len() + 1
    )
    .unwrap();
    content
}

fn stream(dictionary: &str, content: &str) -> String {
    format!(
        "<< {dictionary} /Length {} >>\nstream\n{content}\nendstream",
        content.len()
    )
}

const FONT: &str = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>";

fn one_page(content: &str, resources: &str, others: &[String]) -> Vec<u8> {
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R /Resources << /Font << /F 5 0 R >> {resources} >> >>"
        ),
        stream("", content),
        FONT.to_owned(),
    ];
    objects.extend_from_slice(others);
    pdf(&objects)
}

#[test]
fn the_pdf_maker_of_these_tests_makes_pdfs() {
    let content = one_page("BT /F 12 Tf 10 700 Td (Hello) Tj ET", "", &[]);
    assert_eq!(outcome("a.pdf", content), Ok(1));
}

#[test]
fn files_that_are_too_large() {
    assert_eq!(
        refused("a.txt", vec![b'a'; 5 * 1024 * 1024]),
        "the file may have 4194304 bytes at most, and has 5242880"
    );
    assert_eq!(
        refused("a.txt", "word ".repeat(100_000)),
        "the text of a file may have 262144 bytes at most, and has 499999"
    );
    assert!(refused("a.txt", "a\n\n".repeat(3_000)).contains("2000 blocks"));
    assert!(refused("a.csv", ",,,,,,,,,\n".repeat(10_000)).contains("50000 cells"));
}

#[test]
fn a_zip_bomb() {
    let bomb = archive(&[
        ("word/document.xml", b"<w:document/>"),
        ("word/media/a", &vec![0; 8 * 1024 * 1024]),
    ]);
    assert!(bomb.len() < 20_000);
    let told = refused("a.docx", &bomb);
    assert!(
        told.starts_with("the unpacked file may have 4194304 bytes"),
        "{told}"
    );
    let bomb = archive(&[
        ("xl/workbook.xml", b"<workbook/>"),
        ("xl/worksheets/sheet1.xml", &vec![b' '; 8 * 1024 * 1024]),
    ]);
    assert!(refused("a.xlsx", bomb).contains("unpacked"));
    let names: Vec<String> = (0..60).map(|at| format!("word/{at}")).collect();
    let mut parts: Vec<(&str, &[u8])> =
        names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    parts.push(("word/document.xml", b"<w:document/>"));
    assert!(refused("a.docx", archive(&parts)).contains("50 entries"));
}

#[test]
fn an_archive_that_lies_about_its_sizes() {
    let mut bomb = archive(&[("word/document.xml", &vec![b' '; 8 * 1024 * 1024])]);
    // The size unpacked, in the local header and in the directory.
    let size = (8_u32 * 1024 * 1024).to_le_bytes();
    while let Some(at) = bomb.windows(4).position(|bytes| bytes == size) {
        bomb[at..at + 4].copy_from_slice(&100_u32.to_le_bytes());
    }
    outcome("a.docx", bomb).expect_err("it is refused");
}

#[test]
fn deep_xml_and_entities() {
    let deep = format!("{}{}", "<w:p>".repeat(100), "</w:p>".repeat(100));
    assert!(refused("a.docx", word(&deep)).contains("64 levels"));
    let laughs = b"<!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><w:document><w:p><w:r><w:t>&b;</w:t></w:r></w:p></w:document>";
    let told = refused("a.docx", archive(&[("word/document.xml", laughs)]));
    assert!(told.contains("document type declaration"), "{told}");
    let told = refused("a.docx", word("<w:p><w:r><w:t>&bomb;</w:t></w:r></w:p>"));
    assert!(told.contains("entity \"bomb\""), "{told}");
}

#[test]
fn a_workbook_that_claims_much() {
    let relations = b"<Relationships><Relationship Id=\"r1\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet\" Target=\"worksheets/sheet1.xml\"/></Relationships>";
    let book = b"<workbook xmlns:r=\"r\"><sheets><sheet name=\"A\" sheetId=\"1\" r:id=\"r1\"/></sheets></workbook>";
    let root = b"<Relationships><Relationship Id=\"r1\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>";
    let workbook = |strings: &[u8], sheet: &[u8]| {
        archive(&[
            ("_rels/.rels", root),
            ("xl/workbook.xml", book),
            ("xl/_rels/workbook.xml.rels", relations),
            ("xl/sharedStrings.xml", strings),
            ("xl/worksheets/sheet1.xml", sheet),
        ])
    };
    let sheet = b"<worksheet><sheetData><row r=\"1\"><c r=\"A1\" t=\"inlineStr\"><is><t>x</t></is></c></row></sheetData></worksheet>";
    assert_eq!(outcome("a.xlsx", workbook(b"<sst></sst>", sheet)), Ok(2));
    let told = refused(
        "a.xlsx",
        workbook(
            b"<sst count=\"9\" uniqueCount=\"999999999999\"></sst>",
            sheet,
        ),
    );
    assert!(told.contains("claims to hold 999999999999"), "{told}");
    // Cells at the far corner cost no more than those near.
    let far = b"<worksheet><dimension ref=\"A1:XFD1048576\"/><sheetData><row r=\"1\"><c r=\"A1\"><v>1</v></c></row><row r=\"1048576\"><c r=\"XFD1048576\"><v>2</v></c></row></sheetData></worksheet>";
    assert_eq!(outcome("a.xlsx", workbook(b"<sst></sst>", far)), Ok(3));
    let mut wide = b"<worksheet><sheetData>".to_vec();
    for row in 1..20 {
        write!(
            wide,
            "<row r=\"{row}\"><c r=\"XFD{row}\"><v>2</v></c></row>"
        )
        .unwrap();
    }
    wide.extend_from_slice(b"</sheetData></worksheet>");
    assert!(refused("a.xlsx", workbook(b"<sst></sst>", &wide)).contains("50000 cells"));
}

#[test]
fn a_pdf_whose_pages_loop() {
    let looping = pdf(&[
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [2 0 R 3 0 R 1 0 R] /Count 9 >>".to_owned(),
        "<< /Type /Pages /Parent 3 0 R /Kids [2 0 R 3 0 R 4 0 R] /Count 9 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /Contents 4 0 R >>".to_owned(),
    ]);
    let _ = outcome("a.pdf", looping);
    let itself = stream("/Filter 4 0 R", "x");
    let _ = outcome("a.pdf", one_page("BT ET", "", &[itself]));
    let pages = "3 0 R ".repeat(1_000);
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        format!("<< /Type /Pages /Kids [{pages}] /Count 1000 >>"),
        "<< /Type /Page /Parent 2 0 R >>".to_owned(),
    ];
    assert_eq!(outcome("a.pdf", pdf(&objects)), Ok(0));
    let kids: Vec<String> = (0..200).map(|at| format!("{} 0 R", at + 3)).collect();
    let kids = kids.join(" ");
    objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        format!("<< /Type /Pages /Kids [{kids}] /Count 200 >>"),
    ];
    objects.extend((0..200).map(|_| "<< /Type /Page /Parent 2 0 R >>".to_owned()));
    assert!(refused("a.pdf", pdf(&objects)).contains("100 pages"));
}

#[test]
fn a_pdf_that_draws_without_end() {
    // Each form draws the next one ten times.
    let forms: Vec<String> = (0..12)
        .map(|at| {
            let next = 6 + at + 1;
            let draws = "/X Do ".repeat(10);
            stream(
                &format!("/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X {next} 0 R >> >>"),
                &draws,
            )
        })
        .collect();
    let told = refused(
        "a.pdf",
        one_page("/X Do", "/XObject << /X 6 0 R >>", &forms),
    );
    assert!(told.contains("50000 drawing operations"), "{told}");
    let itself = stream(
        "/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X 6 0 R >> >>",
        "/X Do",
    );
    let _ = outcome(
        "a.pdf",
        one_page("/X Do", "/XObject << /X 6 0 R >>", &[itself]),
    );
    let shown = format!(
        "BT /F 1 Tf {} ET",
        "(many words of text) Tj T* ".repeat(40_000)
    );
    assert!(refused("a.pdf", one_page(&shown, "", &[])).contains("262144 bytes"));
}

#[test]
fn a_scan_is_told_of() {
    let image = stream(
        "/Type /XObject /Subtype /Image /Width 1 /Height 1 /BitsPerComponent 8 /ColorSpace /DeviceGray",
        "x",
    );
    let told = refused(
        "a.pdf",
        one_page("/I Do", "/XObject << /I 6 0 R >>", &[image]),
    );
    assert!(told.contains("pictures and no text (1 page)"), "{told}");
}

#[test]
fn deep_json_and_html() {
    let told = refused("a.json", "[".repeat(10_000));
    assert!(told.contains("recursion limit"), "{told}");
    assert_eq!(outcome("a.html", "<div>".repeat(100_000) + "text"), Ok(1));
    assert_eq!(outcome("a.md", "> ".repeat(2_000) + "text"), Ok(1));
    assert_eq!(outcome("a.md", "[".repeat(50_000)), Ok(1));
    let _ = outcome("a.html", "<table><tr><td colspan=1000000>x".repeat(1_000));
    let _ = outcome("a.html", "<".repeat(100_000));
}

#[test]
fn binary_is_no_text() {
    let noise: Vec<u8> = (0..5_000_u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0])
        .collect();
    for name in ["a.txt", "a.md", "a.html", "a.csv", "a.json"] {
        let told = refused(name, &noise);
        assert!(told.contains("its bytes are no text"), "{name}: {told}");
    }
}

/// Any truncation and any mutation gives a document or an error: the seed is the report.
#[test]
fn truncated_and_mutated_files() {
    let files: [(&str, &[u8]); 4] = [
        ("a.docx", include_bytes!("fixtures/word.docx")),
        ("a.xlsx", include_bytes!("fixtures/excel.xlsx")),
        ("a.pdf", include_bytes!("fixtures/reportlab.pdf")),
        ("b.pdf", include_bytes!("fixtures/fpdf.pdf")),
    ];
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % u64::try_from(below.max(1)).unwrap()).unwrap()
    };
    for (name, content) in files {
        for part in 0..12 {
            let _ = outcome(name, &content[..content.len() * part / 12]);
        }
        for _ in 0..40 {
            let mut mutated = content.to_vec();
            for _ in 0..=next(20) {
                let at = next(mutated.len());
                mutated[at] = next(256).to_le_bytes()[0];
            }
            let _ = outcome(name, mutated);
        }
    }
}
