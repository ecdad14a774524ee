//! A system with so many keys and tokens of one person that no object of the API server takes them.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{delete, get},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A system of keys and tokens, as data.
pub const DEFINITION: &str = r#"
apiVersion: offboard.dev/v1alpha1
kind: ConnectorDefinition
metadata: { name: NAME }
spec:
  title: Keys and tokens
  inputs: { url: { description: Address., pattern: "https?://[A-Za-z0-9.:-]+" } }
  secret: { token: { description: Token. } }
  http: { base: "${inputs.url}", auth: { bearer: {} }, largestAnswer: 64Mi }
  account:
    find:
      - get: /users
        query: { email: "${who.email}" }
        page: { next: "null" }
    id: string(item.id)
    name: item.login
    keys: { email: item.email }
    shows: user
  reads:
    user: { get: "/users/${account.id}" }
    keys: { get: "/users/${account.id}/keys" }
    tokens: { get: "/users/${account.id}/tokens" }
  facts:
    AccountBlocked:
      class: Access
      effect: The password is refused.
      holds: reads.user.blocked
      act: [{ patch: "/users/${account.id}", json: { blocked: true } }]
      undo: [{ patch: "/users/${account.id}", json: { blocked: false } }]
    KeysDeleted:
      class: Credentials
      effect: One that is deleted is refused.
      after: [AccountBlocked]
      none: reads.keys
      snapshot: "reads.keys.map(k, {'id': k.id, 'key': k.key})"
      act: [{ delete: "/users/${account.id}/keys/${string(item.id)}" }]
      undo: [{ post: "/users/${account.id}/keys", json: { id: "${item.id}", key: "${item.key}" } }]
    TokensDeleted:
      class: Credentials
      effect: One that is deleted is refused.
      after: [AccountBlocked]
      none: reads.tokens
      snapshot: reads.tokens
      act: [{ delete: "/users/${account.id}/tokens" }]
      undo: [{ post: "/users/${account.id}/tokens", json: { value: "${item}" } }]
"#;

/// What the system knows of its only user.
#[derive(Default)]
struct Books {
    blocked: bool,
    keys: Vec<Value>,
    tokens: Vec<Value>,
    /// Keys that were deleted so far.
    deleted: usize,
}

type Shared = Arc<Mutex<Books>>;

pub struct Plenty {
    pub url: String,
    books: Shared,
}

impl Plenty {
    /// A system in which jane has so many keys and tokens, of so many random characters each.
    pub async fn start(keys: (usize, usize), tokens: (usize, usize)) -> Self {
        let key = |id| json!({"id": id, "key": format!("ssh-rsa {}", random(keys.1))});
        let books = Books {
            keys: (0..keys.0).map(key).collect(),
            tokens: (0..tokens.0)
                .map(|_| json!({"value": random(tokens.1)}))
                .collect(),
            ..Books::default()
        };
        let books: Shared = Arc::new(Mutex::new(books));
        let user = |books: &Shared| {
            let blocked = books.lock().unwrap().blocked;
            json!({"id": 7, "login": "jane", "email": "jane@example.com", "blocked": blocked})
        };
        let router = Router::new()
            .route(
                "/users",
                get(move |State(books): State<Shared>| async move { Json(json!([user(&books)])) }),
            )
            .route(
                "/users/7",
                get(move |State(books): State<Shared>| async move { Json(user(&books)) }).patch(
                    |State(books): State<Shared>, Json(change): Json<Value>| async move {
                        books.lock().unwrap().blocked = change["blocked"] == true;
                    },
                ),
            )
            .route(
                "/users/7/keys",
                get(|State(books): State<Shared>| async move { Json(books.lock().unwrap().keys.clone()) })
                    .post(|State(books): State<Shared>, Json(key): Json<Value>| async move {
                        books.lock().unwrap().keys.push(key);
                        StatusCode::CREATED
                    }),
            )
            .route(
                "/users/7/keys/{id}",
                delete(|State(books): State<Shared>, Path(id): Path<u64>| async move {
                    let mut books = books.lock().unwrap();
                    books.keys.retain(|key| key["id"] != id);
                    books.deleted += 1;
                }),
            )
            .route(
                "/users/7/tokens",
                get(|State(books): State<Shared>| async move { Json(books.lock().unwrap().tokens.clone()) })
                    .delete(|State(books): State<Shared>| async move { books.lock().unwrap().tokens.clear() })
                    .post(|| async { StatusCode::INTERNAL_SERVER_ERROR }),
            )
            .with_state(Arc::clone(&books));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, books }
    }

    pub fn keys(&self) -> BTreeSet<String> {
        let books = self.books.lock().unwrap();
        books.keys.iter().map(Value::to_string).collect()
    }

    /// How many keys and tokens there are.
    pub fn left(&self) -> (usize, usize) {
        let books = self.books.lock().unwrap();
        (books.keys.len(), books.tokens.len())
    }

    /// How many keys were deleted so far.
    pub fn deleted(&self) -> usize {
        self.books.lock().unwrap().deleted
    }

    pub fn blocked(&self) -> bool {
        self.books.lock().unwrap().blocked
    }
}

/// So many characters that cannot be compressed much.
fn random(length: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letter = |byte: u8| char::from(LETTERS[usize::from(byte % 64)]);
    (0..length).map(|_| letter(rand::random())).collect()
}
