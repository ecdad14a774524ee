//! The company's directory: an LDAP v3 server on loopback, over TLS only (RFC 4511, RFC 2696, RFC 4532).
//!
//! It serves what a directory's users and administrators do here: bind, search, modify, rename, who am I. It does not
//! add or delete entries over the wire, follow referrals or keep anything on disk.

#![expect(clippy::disallowed_types, reason = "it shares a lock with the simulators")]

pub mod acme;
mod login;
mod search;
#[cfg(test)]
mod tests;
pub mod tree;

use std::{
    io,
    sync::{Arc, Mutex},
};

use futures::{SinkExt, StreamExt};
use ldap3_proto::{
    LdapCodec,
    proto::{
        LdapBindCred, LdapBindRequest, LdapBindResponse, LdapExtendedRequest, LdapExtendedResponse, LdapMsg,
        LdapOp, LdapResult, LdapResultCode as Code,
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::codec::Framed;

use self::tree::{Refusal, Tree};
use super::tls::Tls;
use offboard_simulators::server::lock;

/// RFC 4532.
const WHO_AM_I: &str = "1.3.6.1.4.1.4203.1.11.3";

/// A running directory. Dropping it stops the server and closes its connections.
#[derive(Debug)]
pub struct Directory {
    url: String,
    tree: Arc<Mutex<Tree>>,
    task: JoinHandle<()>,
}

impl Directory {
    /// Serves `tree` on a free port of the loopback interface.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(tree: Tree, tls: &Tls) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("ldaps://{}", listener.local_addr()?);
        let tree = Arc::new(Mutex::new(tree));
        let acceptor = TlsAcceptor::from(Arc::clone(&tls.server));
        let task = tokio::spawn(accept(listener, acceptor, Arc::clone(&tree)));
        Ok(Self { url, tree, task })
    }

    /// `ldaps://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Looks at the entries, as the owner of the server.
    pub fn look<R>(&self, f: impl FnOnce(&Tree) -> R) -> R {
        f(&lock(&self.tree))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, tree: Arc<Mutex<Tree>>) {
    // Ends with this task, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            Ok((socket, _)) = listener.accept() => {
                let acceptor = acceptor.clone();
                let tree = Arc::clone(&tree);
                connections.spawn(async move {
                    socket.set_nodelay(true)?;
                    converse(acceptor.accept(socket).await?, &tree).await
                });
            }
        }
    }
}

/// Serves one connection until it ends or speaks no LDAP.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(stream: S, tree: &Mutex<Tree>) -> io::Result<()> {
    let mut messages = Framed::new(stream, LdapCodec::default());
    let mut bound = String::new();
    while let Some(message) = messages.next().await {
        let message = message?;
        if message.op == LdapOp::UnbindRequest {
            return Ok(());
        }
        let answers = answers(&mut bound, &mut lock(tree), message);
        for answer in answers {
            messages.feed(answer).await?;
        }
        messages.flush().await?;
    }
    Ok(())
}

/// What one message is answered with; none for one that asks for no answer.
fn answers(bound: &mut String, tree: &mut Tree, message: LdapMsg) -> Vec<LdapMsg> {
    let id = message.msgid;
    let op = match message.op {
        LdapOp::BindRequest(request) => {
            let res = bind(bound, tree, request);
            LdapOp::BindResponse(LdapBindResponse { res, saslcreds: None })
        }
        LdapOp::SearchRequest(request) => return search::answer(bound, tree, id, &request, &message.ctrl),
        LdapOp::ModifyRequest(request) => {
            LdapOp::ModifyResponse(result(tree.modify(bound, &request.dn, &request.changes)))
        }
        LdapOp::ModifyDNRequest(request) => LdapOp::ModifyDNResponse(result(tree.rename(
            bound,
            &request.dn,
            &request.newrdn,
            request.new_superior.as_deref(),
        ))),
        LdapOp::AddRequest(_) => LdapOp::AddResponse(forbidden()),
        LdapOp::DelRequest(_) => LdapOp::DelResponse(forbidden()),
        LdapOp::CompareRequest(_) => LdapOp::CompareResult(forbidden()),
        LdapOp::ExtendedRequest(request) => LdapOp::ExtendedResponse(extended(bound, &request)),
        _ => return Vec::new(),
    };
    vec![LdapMsg::new(id, op)]
}

fn bind(bound: &mut String, tree: &Tree, request: LdapBindRequest) -> LdapResult {
    bound.clear();
    let refuse = |code, text| result(Err(Refusal(code, text)));
    if request.version != 3 {
        return refuse(Code::ProtocolError, "version 3 only");
    }
    let LdapBindCred::Simple(password) = request.cred else {
        return refuse(Code::AuthMethodNotSupported, "simple only");
    };
    match (request.dn.is_empty(), password.is_empty()) {
        (true, true) => {}
        // RFC 4513, 5.1.2: a name without a password proves nothing.
        (false, true) => return refuse(Code::UnwillingToPerform, "unauthenticated bind disallowed"),
        _ if tree.admits(&request.dn, &password) => *bound = request.dn,
        _ => return refuse(Code::InvalidCredentials, ""),
    }
    result(Ok(()))
}

fn extended(bound: &str, request: &LdapExtendedRequest) -> LdapExtendedResponse {
    if request.name != WHO_AM_I {
        return LdapExtendedResponse {
            res: result(Err(Refusal(
                Code::ProtocolError,
                "unsupported extended operation",
            ))),
            name: None,
            value: None,
        };
    }
    let who = if bound.is_empty() {
        String::new()
    } else {
        format!("dn:{bound}")
    };
    LdapExtendedResponse::new_success(None, Some(&who))
}

fn forbidden() -> LdapResult {
    result(Err(Refusal(Code::InsufficentAccessRights, "")))
}

fn result(outcome: Result<(), Refusal>) -> LdapResult {
    let Refusal(code, text) = outcome.err().unwrap_or(Refusal(Code::Success, ""));
    LdapResult {
        code,
        matcheddn: String::new(),
        message: text.to_owned(),
        referral: Vec::new(),
    }
}
