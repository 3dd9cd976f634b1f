//! What real documents come out as. Those under `fixtures` were made by `fixtures/make.py` with
//! python-docx, openpyxl, `ReportLab` and fpdf2.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use outcrop_extract::{Error, File, Limits, extract, records};
use outcrop_knowledge::document::{BlockKind, RecordFields};

fn file(name: &str, content: impl AsRef<[u8]>) -> File {
    File {
        name: name.to_owned(),
        mime_type: None,
        content: content.as_ref().to_vec().into(),
    }
}

/// The blocks as lines, long ones cut.
fn shown(file: &File) -> String {
    const SHOWN: usize = 90;
    let document = match extract(file, &Limits::DEFAULT) {
        Ok(document) => document,
        Err(error) => return format!("error: {error}\n"),
    };
    let mut shown = String::new();
    if let Some(title) = document.title {
        writeln!(shown, "title: {title}").unwrap();
    }
    for block in document.blocks {
        let kind = match block.kind {
            BlockKind::Heading { level } => format!("h{level}"),
            BlockKind::Paragraph => "p".to_owned(),
            BlockKind::ListItem => "li".to_owned(),
            BlockKind::Row => "row".to_owned(),
            BlockKind::Code => "code".to_owned(),
        };
        let page = block
            .page
            .map(|page| format!("@{page}"))
            .unwrap_or_default();
        let text: String = block.text.replace('\n', "⏎").chars().take(SHOWN).collect();
        writeln!(shown, "{kind}{page}: {text}").unwrap();
    }
    shown
}

fn check(name: &str, content: impl AsRef<[u8]>, expected: &Expect) {
    expected.assert_eq(&shown(&file(name, content)));
}

#[test]
fn word() {
    check(
        "word.docx",
        include_bytes!("fixtures/word.docx"),
        &expect![[r"
            title: Travel rules
            h1: Travel policy
            h1: Flights
            p: Economy class is for flights under six hours.
            h2: Hotels
            li: Three stars at most
            li: Breakfast is included
            row: Country: Germany; Daily rate: 28; Currency: EUR
            row: Country: Japan; Daily rate: 9000; Currency: JPY
            row: Region: North; City: Hamburg
            row: Region: North; City: Kiel
            p: Kept text
            p: R&D pays for <pilots> — “quoted”.
        "]],
    );
}

#[test]
fn excel() {
    check(
        "excel.xlsx",
        include_bytes!("fixtures/excel.xlsx"),
        &expect![[r"
            h1: Rates
            row: Rates of 2026
            row: Country: Germany; Daily rate: 28; Valid from: 2026-01-01; Share: 0.3
            row: Country: Japan; Daily rate: 9000.5; Valid from: 2026-04-01 09:30
            row: Country: Total; Share: TRUE
        "]],
    );
}

#[test]
fn reportlab_pdf_without_its_running_foot() {
    check(
        "a.pdf",
        include_bytes!("fixtures/reportlab.pdf"),
        &expect![[r"
            title: Travel policy
            h1@1: Travel policy
            h2@1: Flights
            p@1: Employees may book economy class for flights under six hours. Longer flights need the appr
            p@1: Employees may book economy class for flights under six hours. Longer flights need the appr
            p@1: Employees may book economy class for flights under six hours. Longer flights need the appr
            p@1: Employees may book economy class for flights under six hours. Longer flights need the appr
            p@2: thirty days.
            p@2: Employees may book economy class for flights under six hours. Longer flights need the appr
            h2@2: Trains
            p@2: Employees may book economy class for flights under six hours. Longer flights need the appr
            p@2: Employees may book economy class for flights under six hours. Longer flights need the appr
            p@2: Employees may book economy class for flights under six hours. Longer flights need the appr
            p@3: for flights under six hours. Longer flights need the approval of a director, and receipts 
            p@3: Employees may book economy class for flights under six hours. Longer flights need the appr
            p@3: Employees may book economy class for flights under six hours. Longer flights need the appr
            h2@3: Hotels
            p@3: Employees may book economy class for flights under six hours. Longer flights need the appr
            p@3: Employees may book economy class for flights under six hours. Longer flights need the appr
            p@4: thirty days. Employees may book economy class for flights under six hours. Longer flights 
            p@4: Employees may book economy class for flights under six hours. Longer flights need the appr
            p@4: Employees may book economy class for flights under six hours. Longer flights need the appr
            p@4: Employees may book economy class for flights under six hours. Longer flights need the appr
            h2@4: Meals
            p@4: Employees may book economy class for flights under six hours. Longer flights need the appr
            p@5: approval of a director, and receipts are due within thirty days. Employees may book econom
            p@5: Employees may book economy class for flights under six hours. Longer flights need the appr
            p@5: Employees may book economy class for flights under six hours. Longer flights need the appr
            p@5: Employees may book economy class for flights under six hours. Longer flights need the appr
            p@5: Employees may book economy class for flights under six hours. Longer flights need the appr
            p@6: for flights under six hours. Longer flights need the approval of a director, and receipts 
            p@6: Country Daily rate Currency
            p@6: Germany 28 EUR
            p@6: Japan 9000 JPY
            li@6: • First item of a list
            li@6: • Second item of a list
        "]],
    );
}

#[test]
fn fpdf_pdf_with_a_font_of_its_own() {
    check(
        "a.pdf",
        include_bytes!("fixtures/fpdf.pdf"),
        &expect![[r"
        title: Grüße aus München
        h1@1: Grüße aus München
        p@1: Привет мир, und noch ein Satz: größer, weiter, höher. Привет мир, und noch ein Satz: größe
        p@1: Employees may book economy class for flights under six hours. Longer flights need the appr
    "]],
    );
}

#[test]
fn markdown() {
    let text = "---\ntitle: \"Leave policy\"\nowner: hr\n---\n# Leave\n\nEmployees get **28** days,\nsee \
        [the law](https://example.com).\n\n- first\n- second\n  - nested\n\n1. one\n\n| Country | Days |\n\
        |---|---|\n| DE | 28 |\n| JP | 20 |\n\n```sh\nls -l\n\n\tpwd\n```\n\n> quoted\n\n<div>inner \
        <b>html</b></div>\n\nEnd[^1].\n\n[^1]: A note.\n";
    check(
        "a.md",
        text,
        &expect![[r"
        title: Leave policy
        h1: Leave
        p: Employees get 28 days, see the law.
        li: first
        li: second
        li: nested
        li: one
        row: Country: DE; Days: 28
        row: Country: JP; Days: 20
        code: ls -l⏎⏎	pwd
        p: quoted
        p: inner html
        p: End.
        p: A note.
    "]],
    );
}

#[test]
fn html() {
    let text = "<!DOCTYPE html><html><head><title>Travel &amp; more</title><style>p{}</style></head><body>\
        <nav><a href=/>Home</a></nav><h1>Flights</h1><p>Economy is<br>for <b>short</b>\n flights.<p>Second\
        <script>if (a < b) { document.write('<p>no') }</script><ul><li>one<li>two <em>and</em></ul>\
        <table><tr><th>Country<th>Rate</tr><tr><td>DE<td>28</tr></table>\
        <pre>a  b\n  c</pre><div hidden>unseen</div><div style=\"display: none\">unseen</div>\
        <table><tr><td><table><tr><td>inner<td>cell</table><td>layout</table>\
        <img alt='A plane'><p>Last &lt;one&gt;</body></html>";
    check(
        "a.html",
        text,
        &expect![[r"
            title: Travel & more
            h1: Flights
            p: Economy is⏎for short flights.
            p: Second
            li: one
            li: two and
            row: Country: DE; Rate: 28
            code: a  b⏎  c
            row: inner; cell
            p: layout
            p: A plane
            p: Last <one>
        "]],
    );
}

#[test]
fn the_main_part_of_a_page() {
    let words = "Words of the page itself. ".repeat(10);
    let page = format!(
        "<title>T</title><header><p>Shop Cart</header><main><h1>Page</h1><p>{words}</main><footer>Imprint</footer>"
    );
    check(
        "a.html",
        &page,
        &expect![[r"
        title: T
        h1: Page
        p: Words of the page itself. Words of the page itself. Words of the page itself. Words of the
    "]],
    );
    let empty = "<header><p>Shop</header><main><div id=app></div></main><p>Text beside it";
    check(
        "a.html",
        empty,
        &expect![[r"
        p: Shop
        p: Text beside it
    "]],
    );
}

#[test]
fn csv() {
    check(
        "a.csv",
        "Question;Answer\n\"How; long?\";\"Two\nweeks\"\nWhere?;\n;\n",
        &expect![[r"
            row: Question: How; long?; Answer: Two weeks
            row: Question: Where?
        "]],
    );
    check(
        "b.csv",
        "1,2\n3,4\n",
        &expect![[r"
        row: 1; 2
        row: 3; 4
    "]],
    );
    check(
        "c.csv",
        "only,names\n",
        &expect![[r"
        row: only; names
    "]],
    );
}

#[test]
fn json() {
    let long = "x".repeat(3_000);
    let text = format!(
        r#"{{"zeta": "first", "alpha": {{"b": 1, "a": [true, null, 2.5]}}, "long": "{long}", "rows": [{{"q": "Why?", "n": {{"k": 1}}}}, "text"]}}"#
    );
    check(
        "a.json",
        text,
        &expect![[r"
        row: zeta: first
        row: alpha.b: 1; alpha.a: true, 2.5
        p: long: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
        row: rows.q: Why?; rows.n.k: 1
        p: rows: text
    "]],
    );
    check(
        "a.jsonl",
        "{\"q\": 1}\n{\"q\": 2}\n",
        &expect![[r"
        row: q: 1
        row: q: 2
    "]],
    );
}

#[test]
fn text_in_many_charsets() {
    check(
        "a.txt",
        "One\nline.\r\n\r\n  \nTwo\u{a0}\u{a0}words.\u{c}Three",
        &expect![[r"
            p: One⏎line.
            p: Two words.
            p: Three
        "]],
    );
    check(
        "a.txt",
        b"\xEF\xBB\xBFmarked",
        &expect![[r"
        p: marked
    "]],
    );
    check(
        "a.txt",
        b"\xFF\xFEG\0r\0\xFC\0\xDF\0e\0",
        &expect![[r"
        p: Grüße
    "]],
    );
    check(
        "a.txt",
        b"p\0l\0a\0i\0n\0 \0w\0i\0d\0e\0",
        &expect![[r"
            p: plain wide
        "]],
    );
    check(
        "a.txt",
        b"\xFF\xFE\0\0U\0\0\0T\0\0\0F\0\0\0",
        &expect![[r"
            p: UTF
        "]],
    );
    check(
        "a.txt",
        "Grüße aus Köln, schöne Straße, über Öl"
            .chars()
            .map(|c| u8::try_from(u32::from(c)).unwrap())
            .collect::<Vec<_>>(),
        &expect![[r"
            p: Grüße aus Köln, schöne Straße, über Öl
        "]],
    );
    check("a.txt", b"Damaged: gr\xC3\xBC\xC3\x9Fe \xC3\xA4\xC3\xB6\xC3\xBC\xC3\xA4\xC3\xB6\xC3\xBC\xC3\xA4\xC3\xB6\xC3\xBC \xC3( end", &expect![[r"
        p: Damaged: grüße äöüäöüäöü �( end
    "]]);
    check(
        "a.html",
        b"<meta charset=\"shift_jis\"><p>\x93\xFA\x96\x7B",
        &expect![[r"
            p: 日本
        "]],
    );
}

#[test]
fn what_the_content_is_counts_more_than_its_name() {
    let is = |name: &str, mime_type: Option<&str>, content: &[u8]| {
        outcrop_extract::detect(name, mime_type, content)
            .map_or_else(|error| error.to_string(), |format| format.to_string())
    };
    let pdf = include_bytes!("fixtures/fpdf.pdf");
    let word = include_bytes!("fixtures/word.docx");
    let told = [
        is("a.txt", None, pdf),
        is("a.pdf", None, word),
        is("noname", None, word),
        is("noname", Some("text/csv; charset=utf-8"), b"a,b"),
        is("noname", None, b"\n<!DOCTYPE HTML><p>"),
        is("noname", None, b"plain"),
        is("noname", None, b"\x7fELF\x01\x02\0\0"),
        is("a.pdf", None, b"no pdf"),
        is("a.docx", None, b""),
        is(
            "a.doc",
            None,
            b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1W\0o\0r\0d\0D\0o\0c\0u\0m\0e\0n\0t\0",
        ),
        is(
            "a.docx",
            None,
            b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e\0",
        ),
        is("a.pptx", None, b"PK\x03\x04ppt/presentation.xml"),
        is("a.png", None, b"\x89PNG\r\n\x1a\n"),
        is("a.txt", None, b"A text on the %PDF- mark"),
        is("a.xyz", None, b"A text of no known format"),
        is("a.xyz", Some("text/html"), b"A page"),
    ];
    expect![[r#"
        PDF
        Word document
        Word document
        CSV file
        HTML file
        text file
        the format of "noname" is not known: its content is no text, and neither PDF, Word (.docx) nor Excel (.xlsx, .xls)
        this is no readable PDF: it does not begin as one
        this is no readable Word document: it is empty
        Word 97-2003 (.doc) files are not read; save it as .docx or PDF
        this Word document is encrypted, and only files without a password are read
        PowerPoint (.pptx) files are not read; save it as PDF
        Image files are not read; put their text beside them in text files
        text file
        files that end in ".xyz" are not read; those in txt, md, html, csv, json, pdf, docx, xlsx and xls are
        HTML file
    "#]].assert_eq(&(told.join("\n") + "\n"));
}

#[test]
fn csv_records() {
    let fields = RecordFields {
        content: "text".to_owned(),
        include: None,
        exclude: vec!["internal".to_owned()],
    };
    let csv = "id,text,year,public,internal,code\n1,Hello,2024,true,x,007\n2,,2025,false,x,8\n3,\"A, b\",,TRUE,x,1e3\n";
    let found = records(&file("a.csv", csv), &fields, &Limits::DEFAULT).unwrap();
    expect![[r#"
        [
            Record {
                content: "Hello",
                metadata: {
                    "code": String(
                        "007",
                    ),
                    "id": Number(
                        1.0,
                    ),
                    "public": Boolean(
                        true,
                    ),
                    "year": Number(
                        2024.0,
                    ),
                },
            },
            Record {
                content: "A, b",
                metadata: {
                    "code": Number(
                        1000.0,
                    ),
                    "id": Number(
                        3.0,
                    ),
                    "public": Boolean(
                        true,
                    ),
                },
            },
        ]
    "#]]
    .assert_debug_eq(&found);
    let some = RecordFields {
        include: Some(vec!["year".to_owned()]),
        ..fields.clone()
    };
    let found = records(&file("a.csv", csv), &some, &Limits::DEFAULT).unwrap();
    let names: Vec<_> = found.iter().map(|record| record.metadata.len()).collect();
    assert_eq!(names, [1, 0]);
    let none = RecordFields {
        content: "absent".to_owned(),
        ..fields.clone()
    };
    let error = records(&file("a.csv", csv), &none, &Limits::DEFAULT).unwrap_err();
    expect![[r#"the CSV file has no column "absent"; it has "id", "text", "year", "public", "internal", "code""#]].assert_eq(&error.to_string());
    let error = records(&file("a.txt", csv), &fields, &Limits::DEFAULT).unwrap_err();
    assert!(matches!(error, Error::NoRecords { .. }), "{error}");
}
