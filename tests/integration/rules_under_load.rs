//! Many concurrent viewers request the same URLs with caching, use each other's ETags, cursors and
//! tokens of rows, and write: no response, in its body, headers, errors or explanation, contains
//! anything that only another viewer may read.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex};

use freshql::config::Mode;
use http::Method;
use http::header::{AUTHORIZATION, HeaderName, IF_NONE_MATCH};
use serde_json::{Value, json};

use crate::harness::{Answer, url};
use crate::newsroom::{MODEL, Newsroom, path, role, user};

/// The keys of teams appear in posts and are not secret; their names are. Rows that only Ada, only
/// Bob, only the first team's members, or only editors may read are named accordingly.
const ROWS: &str = "
INSERT INTO users (id, name, email) VALUES
  ('ada', 'Ada', 'CANARY-admin-1'), ('bob', 'Bob', 'CANARY-admin-2'), ('eve', 'Eve', NULL);
INSERT INTO teams (id, name) VALUES ('t1', 'CANARY-team1 name'), ('t2', 'CANARY-team2 name');
INSERT INTO members (id, team_id, user_id) VALUES ('CANARY-ada-m', 't1', 'ada'), ('CANARY-bob-m', 't2', 'bob');
INSERT INTO posts (id, title, slug, status, notes, author_id, team_id) VALUES
  ('p1', 'Open', 'open', 'PUBLISHED', 'CANARY-editor 1', 'ada', NULL),
  ('p2', 'Open too', 'open-2', 'PUBLISHED', NULL, 'bob', 't1'),
  ('CANARY-ada-1', 'CANARY-ada title', 'CANARY-ada-slug', 'DRAFT', 'CANARY-editor 2', 'ada', NULL),
  ('CANARY-bob-1', 'CANARY-bob title', 'CANARY-bob-slug', 'DRAFT', NULL, 'bob', NULL),
  ('CANARY-bob-2', 'CANARY-bob other', NULL, 'DRAFT', NULL, 'bob', NULL),
  ('CANARY-team1-1', 'CANARY-team1 title', NULL, 'DRAFT', NULL, 'eve', 't1');
";

const QUERIES: [&str; 9] = [
    "{ posts { nodes { id title slug etag status author { name } team { id name } } totalCount } }",
    "query($after: String) { posts(first: 1, after: $after) { edges { cursor node { title } } pageInfo { hasNextPage hasPreviousPage endCursor } } }",
    "query($id: ID!) { post(id: $id) { id title etag team { name members { nodes { id user { name } } totalCount } } } }",
    "query($slug: String!) { postBySlug(slug: $slug) { id title } }",
    "{ users { nodes { id name posts { nodes { title } totalCount } members { nodes { id team { name } } } } } }",
    "{ teams { nodes { id name posts { nodes { title } } } totalCount } }",
    "query($text: String!) { users(where: {posts: {some: {title: {contains: $text}}}}) { nodes { id } totalCount } }",
    "query($where: PostWhere) { posts(where: $where, orderBy: [{status: DESC}]) { nodes { id title } totalCount } }",
    "{ posts { nodes { id notes } } }",
];

const MUTATIONS: [&str; 4] = [
    "mutation($id: ID!, $etag: String) { updatePost(id: $id, patch: {}, expectedEtag: $etag) { id title author { posts { nodes { title } } } } }",
    "mutation($slug: String) { updatePost(id: \"p1\", patch: {slug: $slug}) { id slug title } }",
    "mutation($id: ID!, $slug: String, $team: ID) { createPost(input: {id: $id, title: \"x\", slug: $slug, teamId: $team}) { id title } }",
    "mutation($id: ID!, $etag: String) { deletePost(id: $id, expectedEtag: $etag) { title } }",
];

/// Random numbers, reproducible by their seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// A viewer, and what only this viewer may read.
struct Asker {
    token: Option<String>,
    owns: &'static [&'static str],
    /// Some may not delete anything, so that others can still look for it.
    may_delete: bool,
}

/// What viewers have received, for others to use.
#[derive(Default)]
struct Found {
    etags: Vec<(String, String)>,
    cursors: Vec<String>,
    row_etags: Vec<String>,
}

fn askers() -> Vec<Asker> {
    let asker = |token, owns, may_delete| Asker { token, owns, may_delete };
    vec![
        asker(None, &[], true),
        asker(Some(user("eve")), &["CANARY-team1-1", "CANARY-team1 title"], false),
        asker(Some(user("ada")), &["CANARY-ada", "CANARY-team1"], false),
        asker(Some(user("bob")), &["CANARY-bob", "CANARY-team2"], false),
        asker(Some(user("mallory")), &[], true),
        asker(
            Some(role("x", "editor")),
            &[
                "CANARY-ada-1",
                "CANARY-ada title",
                "CANARY-ada-slug",
                "CANARY-bob-1",
                "CANARY-bob-2",
                "CANARY-bob title",
                "CANARY-bob other",
                "CANARY-bob-slug",
                "CANARY-team1-1",
                "CANARY-team1 title",
                "CANARY-editor",
            ],
            false,
        ),
    ]
}

impl Asker {
    /// Removes what the viewer has sent, and what is their own, from a text; no canary may be left.
    #[track_caller]
    fn assert_nothing_of_others(&self, text: &str, said: &str, what: &str) {
        for (at, _) in text.match_indices("CANARY-") {
            let rest = &text[at..];
            let is_own = self.owns.iter().any(|own| rest.starts_with(own));
            let word: String = rest
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || "- ".contains(*c))
                .collect();
            assert!(
                is_own || said.contains(word.trim()),
                "{what} shows {word:?}: {text}\nasked: {said}"
            );
        }
    }

    #[track_caller]
    fn assert_own(&self, answer: &Answer, said: &str) {
        self.assert_nothing_of_others(answer.text(), said, "a body");
        for (name, value) in &answer.headers {
            self.assert_nothing_of_others(value.to_str().unwrap_or_default(), said, name.as_str());
        }
    }
}

fn any(random: &mut Dice, from: &[&str]) -> String {
    from[random.below(from.len())].to_owned()
}

const IDS: [&str; 7] =
    ["p1", "p2", "CANARY-ada-1", "CANARY-bob-1", "CANARY-bob-2", "CANARY-team1-1", "no-such-row"];
const SLUGS: [&str; 5] = ["open", "CANARY-ada-slug", "CANARY-bob-slug", "fresh", "open-2"];
const TEAMS: [&str; 3] = ["t1", "t2", "no-such-team"];

/// The variables of a query.
fn asked(random: &mut Dice, number: usize, found: &Mutex<Found>) -> Value {
    let cursor = |random: &mut Dice| {
        let found = found.lock().unwrap();
        match found.cursors.len() {
            0 => Value::Null,
            many => found.cursors[random.below(many)].clone().into(),
        }
    };
    match number {
        1 => json!({"after": cursor(random)}),
        2 => json!({"id": any(random, &IDS)}),
        3 => json!({"slug": any(random, &SLUGS)}),
        6 => json!({"text": any(random, &["a", "Open", "title", "CANARY-ada", "CANARY-bob"])}),
        7 => match random.below(5) {
            0 => json!({}),
            1 => json!({"where": {"team": {"name": {"startsWith": "CANARY"}}}}),
            2 => {
                json!({"where": {"not": {"team": {"members": {"some": {"userId": {"eq": "ada"}}}}}}})
            }
            3 => json!({"where": {"notes": {"contains": "1"}}}),
            _ => json!({"where": {"author": {"posts": {"none": {"status": {"eq": "DRAFT"}}}}}}),
        },
        _ => json!({}),
    }
}

async fn read(room: &Newsroom, asker: &Asker, random: &mut Dice, found: &Mutex<Found>) {
    let number = random.below(QUERIES.len());
    let (text, variables) = (QUERIES[number], asked(random, number, found));
    let (path, said) = (path(text, &variables), format!("{text} {variables}"));
    let bearer = asker.token.as_ref().map(|token| format!("Bearer {token}"));
    let mut headers: Vec<(HeaderName, &str)> = Vec::new();
    headers.extend(bearer.as_deref().map(|bearer| (AUTHORIZATION, bearer)));
    let offered = random.chance(50).then(|| {
        let found = found.lock().unwrap();
        let of_path: Vec<_> = found.etags.iter().filter(|(at, _)| *at == path).collect();
        (!of_path.is_empty()).then(|| of_path[random.below(of_path.len())].1.clone())
    });
    let offered = offered.flatten();
    if let Some(etag) = &offered {
        headers.push((IF_NONE_MATCH, etag));
    }
    // An explanation includes the request, and so the contents of its cursor.
    let explained = number != 1 && random.chance(10);
    if explained {
        headers.push((HeaderName::from_static("freshql-explain"), "1"));
    }
    let answer = if random.chance(15) {
        room.app.post_with(&url(text), &json!({"variables": variables}), &headers).await
    } else {
        room.app.ask(Method::GET, &path, &headers).await
    };
    asker.assert_own(&answer, &said);
    if answer.status == 304 {
        // It stands for a body that this viewer may read.
        let again: Vec<_> =
            headers.iter().filter(|(name, _)| *name != IF_NONE_MATCH).cloned().collect();
        let own = room.app.ask(Method::GET, &path, &again).await;
        asker.assert_own(&own, &said);
    } else if answer.status == 200 && !explained {
        let mut found = found.lock().unwrap();
        if let Some(etag) = answer.headers.get("etag") {
            found.etags.push((path, etag.to_str().unwrap().to_owned()));
        }
        let data = answer.json()["data"].clone();
        let cursor = data["posts"]["pageInfo"]["endCursor"].as_str().map(str::to_owned);
        found.cursors.extend(cursor);
        found.row_etags.extend(data["post"]["etag"].as_str().map(str::to_owned));
    }
}

async fn write(
    room: &Newsroom,
    asker: &Asker,
    random: &mut Dice,
    found: &Mutex<Found>,
    turn: usize,
) {
    let number = random.below(if asker.may_delete { 4 } else { 3 });
    let etag = {
        let found = found.lock().unwrap();
        match found.row_etags.len() {
            0 => json!("AAAAAAAAAAAAAAAA"),
            many => found.row_etags[random.below(many)].clone().into(),
        }
    };
    let variables = match number {
        0 => json!({"id": any(random, &IDS), "etag": etag}),
        1 => json!({"slug": any(random, &SLUGS)}),
        2 => {
            json!({"id": format!("n{turn}"), "slug": any(random, &SLUGS), "team": any(random, &TEAMS)})
        }
        _ => json!({"id": any(random, &IDS), "etag": etag}),
    };
    let answer = room.post(MUTATIONS[number], &variables, asker.token.as_deref()).await;
    asker.assert_own(&answer, &format!("{} {variables}", MUTATIONS[number]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_load_no_viewer_receives_what_only_another_may_read() {
    let documents: Vec<&str> = QUERIES.into_iter().chain(MUTATIONS).collect();
    let room = Arc::new(Newsroom::with(MODEL, ROWS, Mode::Open, &documents).await);
    let found = Arc::new(Mutex::new(Found::default()));
    let seed = RandomState::new().hash_one(0) % 1_000_000;
    let mut tasks = tokio::task::JoinSet::new();
    for (number, asker) in askers().into_iter().chain(askers()).enumerate() {
        let (room, found) = (room.clone(), found.clone());
        let mut random = Dice(seed + 1_000_003 * number as u64);
        tasks.spawn(async move {
            for turn in 0..250 {
                if random.chance(15) {
                    write(&room, &asker, &mut random, &found, number * 1000 + turn).await;
                } else {
                    read(&room, &asker, &mut random, &found).await;
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    // Viewers who are shown nothing would see nothing of others, either.
    let found = found.lock().unwrap();
    let counts = [found.etags.len(), found.cursors.len(), found.row_etags.len()];
    assert!(counts.iter().all(|count| *count > 0), "seed {seed}: {counts:?}");
}
