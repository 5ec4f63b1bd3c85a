//! The way to a mail server. What enters is a message, what leaves is whether the server took it. Every step before the text
//! itself may fail and nothing was sent; after it only the server's word counts, and without one nobody knows.

use std::fmt;
use std::time::Duration;

use lettre::Message;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::time::timeout;
use url::Url;

use super::email::{Mail, taken};
use super::run::Trouble;
use crate::error::{Error, ErrorKind, Result};
use crate::reason::Reason;
use crate::secret::Secret;
use crate::telemetry::calls;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A mail server and who sends by it.
#[derive(Clone)]
pub struct Smtp {
    address: Secret,
    from: Mailbox,
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp").field("from", &self.from.email.domain()).finish_non_exhaustive()
    }
}

/// How the connection is kept secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Security {
    /// From its first byte.
    Tls,
    /// From the command STARTTLS on, without which there is no mail.
    StartTls,
    /// Not at all: it does not leave this machine.
    None,
}

/// What an address of a server says.
struct Server {
    host: String,
    port: u16,
    security: Security,
    credentials: Option<Credentials>,
}

impl Smtp {
    /// A server by its address, `smtps://user:password@host:465` or `smtp://user:password@host:587` (with STARTTLS), and the
    /// sender, `Name <name@domain>`. A sentence says what does not fit, for the setting that the error names.
    pub fn new(address: Secret, from: &str) -> Result<Self, (&'static str, &'static str)> {
        let sentence = "must be a mail address, `name@domain` or `Name <name@domain>`";
        let from: Mailbox = from.parse().map_err(|_| ("MAIL_FROM", sentence))?;
        // One in a Key Vault is looked at when it is needed.
        if let Secret::Plain(text) = &address {
            Server::parse(text.expose_secret()).map_err(|problem| ("SMTP_URL", problem))?;
        }
        Ok(Self { address, from })
    }

    /// Who mail is from.
    pub(super) fn from(&self) -> &Mailbox {
        &self.from
    }

    /// Hands a message over, once, within a time.
    pub(super) async fn send(&self, message: &Message, mail: &Mail, within: Duration) -> Result<Value, Trouble> {
        let address = self.address.expose().await?;
        let unfit = |problem| Error::new(ErrorKind::Misconfigured, format!("SMTP_URL {problem}"));
        let server = Server::parse(address.expose_secret()).map_err(unfit)?;
        let mut was_handed_over = false;
        let call = calls::outside("smtp", "send").to(&format!("{}:{}", server.host, server.port));
        let sent = call.run(async {
            let mut connection = server.connect().await.map_err(refused)?;
            let handed = hand_over(&mut connection, message, &mut was_handed_over).await;
            if handed.is_ok() {
                // The mail is on its way; what the server says to a goodbye changes nothing.
                connection.abort().await;
            }
            handed.map_err(refused)
        });
        let too_slow = |_| {
            let sentence = "the mail server did not answer in time";
            Err(Error::new(ErrorKind::ActionFailed, sentence).because(Reason::TooSlow))
        };
        match timeout(within, sent).await.unwrap_or_else(too_slow) {
            Ok(()) => Ok(taken(mail)),
            // A refusal is an answer; silence after the text is none.
            Err(e) if was_handed_over && e.reason() != Some(Reason::NotAllowed) => {
                let sentence = "the mail server did not say whether it took the mail";
                Err(Trouble::Unknown(Error::new(ErrorKind::ActionUnknown, sentence).caused_by(e)))
            }
            Err(e) => Err(Trouble::NotDone(e)),
        }
    }
}

async fn hand_over(
    connection: &mut AsyncSmtpConnection,
    message: &Message,
    was_handed_over: &mut bool,
) -> Result<(), lettre::transport::smtp::Error> {
    let envelope = message.envelope();
    connection.command(MailFrom::new(envelope.from().cloned(), Vec::new())).await?;
    for recipient in envelope.to() {
        connection.command(Rcpt::new(recipient.clone(), Vec::new())).await?;
    }
    connection.command(Data).await?;
    *was_handed_over = true;
    connection.message(&message.formatted()).await.map(|_| ())
}

fn refused(cause: lettre::transport::smtp::Error) -> Error {
    let (reason, sentence) = match cause.status() {
        // The words of the server may quote the mail; they are for the log.
        Some(_) => (Reason::NotAllowed, "the mail server refused the mail"),
        None => (Reason::of_network(&cause), "the mail server cannot be reached"),
    };
    Error::new(ErrorKind::ActionFailed, sentence).because(reason).caused_by(cause)
}

impl Server {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let problem = "must be an address like smtps://user:password@mail.contoso.com:465, or smtp:// for STARTTLS";
        let url = Url::parse(text).map_err(|_| problem)?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(problem)?;
        // Only of schemes that the web knows, hosts in brackets are read as addresses.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let is_here = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        let (security, port) = match url.scheme() {
            "smtps" => (Security::Tls, 465),
            // A server on this machine rarely has a certificate, and nobody can listen.
            "smtp" if is_here => (Security::None, 25),
            "smtp" => (Security::StartTls, 587),
            _ => return Err(problem),
        };
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(problem);
        }
        let decoded = |part: &str| percent_decode_str(part).decode_utf8().map(String::from).map_err(|_| problem);
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some(Credentials::new(decoded(user)?, decoded(password.unwrap_or_default())?)),
        };
        Ok(Self { host, port: url.port().unwrap_or(port), security, credentials })
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, lettre::transport::smtp::Error> {
        let (name, peer) = (ClientId::default(), (self.host.as_str(), self.port));
        let tls = || TlsParameters::new_rustls(self.host.clone());
        let at_once = if self.security == Security::Tls { Some(tls()?) } else { None };
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(peer, Some(CONNECT_TIMEOUT), &name, at_once, None).await?;
        if self.security == Security::StartTls {
            connection.starttls(tls()?, &name).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(&[Mechanism::Plain, Mechanism::Login], credentials).await?;
        }
        Ok(connection)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_password_leaves_this_machine_only_within_tls() {
        let read = |text: &str| Server::parse(text).map(|server| (server.host, server.port, server.security));
        let found = |host: &str, port, security| Ok((host.to_owned(), port, security));
        assert_eq!(read("smtps://u:p@mail.test"), found("mail.test", 465, Security::Tls));
        assert_eq!(read("smtp://u:p@mail.test"), found("mail.test", 587, Security::StartTls));
        assert_eq!(read("smtp://u:p@mail.test:25"), found("mail.test", 25, Security::StartTls));
        assert_eq!(read("smtp://127.0.0.1:2525"), found("127.0.0.1", 2525, Security::None));
        assert_eq!(read("smtp://[::1]:2525"), found("::1", 2525, Security::None));
        assert_eq!(read("smtp://127.0.0.1.mail.test"), found("127.0.0.1.mail.test", 587, Security::StartTls));
        for bad in
            ["", "mail.test:25", "http://mail.test", "smtps://", "smtps://mail.test?tls=none", "smtps://mail.test/x"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
        let signed = Server::parse("smtps://ann%40contoso.com:p%2Fw@mail.test").unwrap();
        assert_eq!(signed.credentials, Some(Credentials::new("ann@contoso.com".to_owned(), "p/w".to_owned())));
    }

    #[tokio::test]
    async fn a_server_without_starttls_hears_neither_password_nor_mail() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let (mut stream, mut heard) = (BufReader::new(stream), String::new());
            stream.write_all(b"220 plain\r\n").await.unwrap();
            while stream.read_line(&mut heard).await.is_ok_and(|length| length > 0) {
                let _client_left = stream.write_all(b"250-plain\r\n250 AUTH PLAIN LOGIN\r\n").await;
            }
            heard
        });
        let credentials = Some(Credentials::new("ann".to_owned(), "s3cret".to_owned()));
        let server = Server { host: "localhost".to_owned(), port, security: Security::StartTls, credentials };
        assert!(server.connect().await.is_err());
        let heard = heard.await.unwrap().to_ascii_uppercase();
        assert!(heard.contains("EHLO") && !heard.contains("AUTH") && !heard.contains("MAIL"), "{heard}");
    }

    #[test]
    fn nothing_of_the_address_is_shown() {
        let smtp = Smtp::new("smtps://ann:s3cret@mail.test".into(), "Ann <ann@contoso.com>").unwrap();
        assert!(!format!("{smtp:?}").contains("s3cret"));
        assert_eq!(Smtp::new("x".into(), "ann@contoso.com").unwrap_err().0, "SMTP_URL");
        assert_eq!(Smtp::new("smtps://mail.test".into(), "Ann").unwrap_err().0, "MAIL_FROM");
        assert!(Smtp::new("smtps://mail.test".into(), "a@b.test\r\nBcc: c@d.test").is_err());
    }
}
