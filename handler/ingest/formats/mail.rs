//! E-mail. A message comes in; who wrote when to whom about what comes out first, then its text, then the name of each
//! attachment, with its text where that is plain or HTML. A message inside of a message is read like an attachment.

use mail_parser::{Address, Message, MessageParser, MessagePart, MimeHeaders, PartType};

use crate::error::Result;
use crate::ingest::formats::blocks::Blocks;
use crate::ingest::formats::package::{damaged, over};
use crate::ingest::formats::{BlockKind, ExtractLimits, Extracted, Fit, Format, html, text};

/// Messages as mail programs save them.
pub const FORMAT: Format = Format { name: "e-mail (eml)", extensions: &["eml"], sniff, read };

/// Messages in messages that are still read. People forward what was forwarded; nobody does it nine times.
const MOST_MESSAGES_DEEP: usize = 8;
/// Addresses of one line that are named; a mailing may go to thousands.
const MOST_ADDRESSES: usize = 50;

fn sniff(bytes: &[u8]) -> Fit {
    const TELLING: [&str; 8] =
        ["from:", "to:", "subject:", "date:", "received:", "message-id:", "mime-version:", "return-path:"];
    const HEAD_BYTES: usize = 4096;
    if !text::is_text(&bytes[..bytes.len().min(HEAD_BYTES)]) {
        return Fit::No;
    }
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(HEAD_BYTES)]).to_ascii_lowercase();
    let lines = || head.lines().take_while(|line| !line.trim().is_empty());
    let is_header = |line: &str| {
        line.starts_with([' ', '\t'])
            || line.split_once(':').is_some_and(|(name, _)| !name.is_empty() && !name.contains(' '))
    };
    let found = TELLING.iter().filter(|name| lines().any(|line| line.starts_with(**name))).count();
    // Three of them make a message; a note may well begin with two.
    if found >= 3 && lines().all(is_header) { Fit::Likely } else { Fit::Possible }
}

fn read(bytes: &[u8], limits: &ExtractLimits) -> Result<Extracted> {
    let message = MessageParser::default().parse(bytes).ok_or_else(|| damaged("its header"))?;
    let mut reader = Reader { blocks: Blocks::new(limits), limits, num_parts: 0 };
    reader.message(&message, None, 0)?;
    let title = message.subject().map(str::to_owned);
    Ok(reader.blocks.finish(title, None))
}

struct Reader<'l> {
    blocks: Blocks,
    limits: &'l ExtractLimits,
    num_parts: usize,
}

impl Reader<'_> {
    fn message(&mut self, message: &Message<'_>, place: Option<&str>, depth: usize) -> Result<()> {
        if depth > MOST_MESSAGES_DEEP {
            return Err(over(format!("messages in it nest deeper than {MOST_MESSAGES_DEEP}")));
        }
        self.num_parts += message.parts.len();
        if self.num_parts > self.limits.max_entries {
            return Err(over(format!("it has more than {} parts", self.limits.max_entries)));
        }
        self.push(BlockKind::Paragraph, &header(message), place)?;
        let mut shown = message.text_body.clone();
        shown.extend(message.html_body.iter().filter(|_| message.text_body.is_empty()));
        for id in &shown {
            if let Some(part) = message.part(*id) {
                self.text(part, place)?;
            }
        }
        for id in message.attachments.iter().filter(|id| !shown.contains(id)) {
            if let Some(part) = message.part(*id) {
                self.attachment(part, depth)?;
            }
        }
        Ok(())
    }

    /// An attachment by its name, and what of it is text. An alternative of the text that was read is none.
    fn attachment(&mut self, part: &MessagePart<'_>, depth: usize) -> Result<()> {
        let name = part.attachment_name().map(str::to_owned);
        if let PartType::Message(message) = &part.body {
            let name = name.or_else(|| message.subject().map(str::to_owned)).unwrap_or_else(|| "message".to_owned());
            return self.message(message, Some(&format!("part={name}")), depth + 1);
        }
        // Text without a name is text of the message that stands where its writer's program did not expect it.
        let Some(name) = name else { return self.text(part, None) };
        let place = format!("part={name}");
        self.push(BlockKind::Paragraph, &format!("Attachment: {name}"), Some(&place))?;
        let is_shown = part.is_content_type("text", "plain") || part.is_content_type("text", "html");
        if is_shown { self.text(part, Some(&place)) } else { Ok(()) }
    }

    fn text(&mut self, part: &MessagePart<'_>, place: Option<&str>) -> Result<()> {
        match &part.body {
            PartType::Html(source) => {
                let blocks = std::mem::replace(&mut self.blocks, Blocks::new(self.limits));
                (_, self.blocks) = html::read_page(source, blocks, place)?;
                Ok(())
            }
            PartType::Text(text) => {
                for paragraph in text::paragraphs(text) {
                    self.push(BlockKind::Paragraph, &paragraph, place)?;
                }
                Ok(())
            }
            PartType::Binary(_) | PartType::InlineBinary(_) | PartType::Message(_) | PartType::Multipart(_) => Ok(()),
        }
    }

    fn push(&mut self, kind: BlockKind, text: &str, place: Option<&str>) -> Result<()> {
        match place {
            Some(place) => self.blocks.push_at(kind, text, place),
            None => self.blocks.push(kind, text, None),
        }
    }
}

/// Who wrote when to whom about what, a line each.
fn header(message: &Message<'_>) -> String {
    let lines = [
        ("From", message.from().map(addresses)),
        ("To", message.to().map(addresses)),
        ("Cc", message.cc().map(addresses)),
        ("Date", message.date().map(|date| date.to_rfc3339())),
        ("Subject", message.subject().map(|subject| subject.split_whitespace().collect::<Vec<_>>().join(" "))),
    ];
    let told = lines.into_iter().filter_map(|(name, value)| Some((name, value?)));
    told.filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}: {value}\n")).collect()
}

fn addresses(addresses: &Address<'_>) -> String {
    let one = |address: &mail_parser::Addr<'_>| match (address.name(), address.address()) {
        (Some(name), Some(address)) => Some(format!("{name} <{address}>")),
        (name, address) => name.or(address).map(str::to_owned),
    };
    let mut named: Vec<String> = addresses.iter().filter_map(one).take(MOST_ADDRESSES).collect();
    let more = addresses.iter().count().saturating_sub(named.len());
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    named.join(", ")
}
