//! Subtitles and transcripts: WebVTT and SubRip. Cues come in; sentences go out, each at the moment its first cue is shown,
//! so that a citation can start the recording there.

use crate::error::{Error, ErrorKind, Result};
use crate::ingest::formats::blocks::Blocks;
use crate::ingest::formats::{BlockKind, ExtractLimits, Extracted, Fit, Format, text};

/// WebVTT, as meeting recorders and web pages have it.
pub const VTT: Format = Format {
    name: "subtitles (vtt)",
    extensions: &["vtt"],
    sniff: |bytes| if is_vtt(bytes) { Fit::Certain } else { Fit::No },
    read,
};

/// SubRip.
pub const SRT: Format = Format {
    name: "subtitles (srt)",
    extensions: &["srt"],
    sniff: |bytes| if text::is_text(bytes) { Fit::Possible } else { Fit::No },
    read,
};

/// Cues are joined until a sentence ends, but a speaker without a full stop is cut off here.
const LONGEST_BLOCK_BYTES: usize = 600;

fn is_vtt(bytes: &[u8]) -> bool {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).starts_with(b"WEBVTT")
}

fn read(bytes: &[u8], limits: &ExtractLimits) -> Result<Extracted> {
    let source = text::decode(bytes)?;
    let mut transcript =
        Transcript { blocks: Blocks::new(limits), start: String::new(), text: String::new(), last: String::new() };
    let mut num_cues = 0_usize;
    for block in text::paragraphs(&source) {
        let mut lines = block.lines();
        // Notes, styles and numbers of cues stand above the line of times, or there is none.
        let Some(start) = lines.by_ref().find_map(start_of) else { continue };
        num_cues += 1;
        transcript.cue(&start, lines)?;
    }
    transcript.flush()?;
    if num_cues == 0 && !is_vtt(bytes) {
        return Err(Error::new(
            ErrorKind::DocumentDamaged,
            "the file is named like subtitles but no line of it has times",
        ));
    }
    Ok(transcript.blocks.finish(None, None))
}

/// The sentences so far.
struct Transcript {
    blocks: Blocks,
    /// When the sentence at hand began.
    start: String,
    text: String,
    /// The line shown last: rolling captions show it again in the next cue.
    last: String,
}

impl Transcript {
    fn cue<'l>(&mut self, start: &str, lines: impl Iterator<Item = &'l str>) -> Result<()> {
        for line in lines {
            let (speaker, line) = plain(line);
            let line = line.trim();
            if line.is_empty() || line == self.last {
                continue;
            }
            line.clone_into(&mut self.last);
            if !speaker.is_empty() {
                self.flush()?;
            }
            if self.text.is_empty() {
                start.clone_into(&mut self.start);
                if !speaker.is_empty() {
                    self.text = format!("{speaker}: ");
                }
            } else if !self.text.ends_with(' ') {
                self.text.push(' ');
            }
            self.text.push_str(line);
            let is_end = line.ends_with(['.', '?', '!', '。', '？', '！', '…']);
            if is_end || self.text.len() > LONGEST_BLOCK_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let text = std::mem::take(&mut self.text);
        self.blocks.push_at(BlockKind::Paragraph, &text, &format!("t={}", self.start))
    }
}

/// When a cue starts, in hours, minutes and seconds, if the line is one of times: `00:01.500 --> 00:03.000 align:left`.
fn start_of(line: &str) -> Option<String> {
    let (start, _) = line.split_once("-->")?;
    let whole = start.trim().split(['.', ',']).next()?;
    let mut parts: Vec<u32> = whole.split(':').map(|part| part.trim().parse().ok()).collect::<Option<_>>()?;
    while parts.len() < 3 {
        parts.insert(0, 0);
    }
    let [hours, minutes, seconds] = parts[..] else { return None };
    Some(format!("{hours:02}:{minutes:02}:{seconds:02}"))
}

/// A line without its tags, `<i>` or `{\an8}`, and the speaker that `<v Name>` names.
fn plain(line: &str) -> (String, String) {
    let (mut speaker, mut text, mut rest) = (String::new(), String::new(), line);
    while let Some(at) = rest.find(['<', '{']) {
        let (before, tag) = rest.split_at(at);
        text.push_str(before);
        let close = if tag.starts_with('<') { '>' } else { '}' };
        let is_tag = tag[1..].starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '\\'));
        let Some(end) = tag.find(close).filter(|_| is_tag) else {
            text.push_str(&tag[..1]);
            rest = &tag[1..];
            continue;
        };
        let inside = &tag[1..end];
        if let Some((name, words)) = inside.split_once(' ')
            && (name == "v" || name.starts_with("v."))
        {
            words.trim().clone_into(&mut speaker);
        }
        rest = &tag[end + 1..];
    }
    text.push_str(rest);
    let replaced = [("&lt;", "<"), ("&gt;", ">"), ("&nbsp;", " "), ("&lrm;", ""), ("&rlm;", ""), ("&amp;", "&")];
    let text = replaced.iter().fold(text, |text, (written, meant)| text.replace(written, meant));
    (speaker, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(source: &str) -> Vec<String> {
        let found = read(source.as_bytes(), &ExtractLimits::new(1, 1000)).unwrap();
        found.blocks.iter().map(|block| format!("{} {}", block.place.as_deref().unwrap(), block.text)).collect()
    }

    #[test]
    fn joins_cues_to_sentences_at_their_moments() {
        let vtt = "WEBVTT\n\nNOTE\nnothing\n\nSTYLE\n::cue {}\n\n1\n00:01.500 --> 00:03.000 align:left\n<v Ada Byron>We begin <i>now</i>\n\n\
            00:00:03.000 --> 00:00:05.000\nwith 1 < 2 &amp; ropes.\n\n01:02:03.000 --> 01:02:04.000\n<v Bo>Fine.\n";
        assert_eq!(lines(vtt), ["t=00:00:01 Ada Byron: We begin now with 1 < 2 & ropes.", "t=01:02:03 Bo: Fine."]);
        let srt = "1\r\n00:00:01,000 --> 00:00:02,000\r\n{\\an8}One\r\n\r\n2\r\n00:00:02,000 --> 00:00:03,000\r\nOne\r\ntwo.\r\n";
        assert_eq!(lines(srt), ["t=00:00:01 One two."]);
    }

    #[test]
    fn refuses_what_has_no_times() {
        assert_eq!(read(b"just words", &ExtractLimits::new(1, 100)).unwrap_err().kind(), ErrorKind::DocumentDamaged);
    }
}
