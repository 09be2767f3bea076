//! A proxy before a cloud endpoint: records calls, delays them, loses replies, rewrites answers.
//!
//! What moto cannot show is scripted here, at the HTTP level, and never inside relctl. It has
//! threads of its own, so that tests need no runtime.
//!
//! ```no_run
//! # use std::time::Duration;
//! # use relctl_test::proxy::ProxyRules;
//! let proxy = ProxyRules::default()
//!     .delay(Duration::from_millis(80))
//!     .lose_reply("UpdateService", 1)
//!     .rewrite("DescribeServices", |_, reply| {
//!         reply.edit_json(|json| json["services"][0]["runningCount"] = 0.into());
//!     })
//!     .before("http://127.0.0.1:5000")
//!     .unwrap();
//! // … run relctl with AWS_ENDPOINT_URL = proxy.url() …
//! assert_eq!(proxy.count("UpdateService"), 1);
//! ```

mod wire;

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

pub use wire::Reply;

/// A call that went through the proxy.
#[derive(Debug, Clone)]
pub struct ProxiedCall {
    /// From the signature's scope, `ecs`; empty where there is none.
    pub service: String,
    /// `UpdateService`; for calls that are not AWS's, method and path.
    pub operation: String,
    /// How many of this operation there were with it, from 1.
    pub nth: usize,
    /// Whether it is meant to change something: everything that is not read by its name.
    pub writes: bool,
    pub body: String,
    /// When it arrived, since the proxy started.
    pub begun: Duration,
    /// When it was answered; `None` while it is not, and where the reply was lost.
    pub ended: Option<Duration>,
    /// What was answered.
    pub status: Option<u16>,
}

impl ProxiedCall {
    /// The body as JSON; `null` where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// A form's field, decoded by nothing but what plain names need.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.body.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

/// How many of these calls came one after another: the longest chain in which each began after the
/// one before it was answered. With a delay that is long beside the machine's own, this is how many
/// delays whoever called had to wait for.
pub fn rounds(calls: &[ProxiedCall]) -> usize {
    let mut spans: Vec<(Duration, Duration)> =
        calls.iter().filter_map(|call| Some((call.ended?, call.begun))).collect();
    // Of calls that overlap, the one that ends first leaves the most room for others.
    spans.sort_unstable();
    let mut rounds = 0;
    let mut free_from = Duration::ZERO;
    for (ended, begun) in spans {
        if rounds == 0 || begun >= free_from {
            rounds += 1;
            free_from = ended;
        }
    }
    rounds
}

/// What becomes of one call.
pub enum Interference {
    /// Nothing is done to it, but for the rules of its operation.
    Pass,
    /// It is answered without asking the endpoint.
    Answer(Reply),
    /// It is neither carried out nor answered.
    Reset,
    /// It is carried out, then this happens, and it is not answered.
    Lose(Box<dyn FnOnce() + Send>),
}

type Interfere = Box<dyn Fn(&ProxiedCall) -> Interference + Send + Sync>;
type Answer = Box<dyn Fn(&ProxiedCall) -> Reply + Send + Sync>;
type Rewrite = Box<dyn Fn(&ProxiedCall, &mut Reply) + Send + Sync>;

enum Rule {
    /// Forwarded and carried out, but never answered.
    LoseReply {
        nth: usize,
    },
    /// Neither forwarded nor answered.
    Reset {
        nth: usize,
    },
    /// Answered without asking the endpoint.
    Answer(Answer),
    Rewrite(Rewrite),
}

/// What the proxy does to calls, by operation. Rules of one operation apply in the order in which
/// they were given.
#[derive(Default)]
pub struct ProxyRules {
    delay: Duration,
    interfere: Option<Interfere>,
    rules: BTreeMap<String, Vec<Rule>>,
}

impl ProxyRules {
    /// Asks for each call, in the order in which they arrive, what becomes of it.
    #[must_use]
    pub fn interfere(
        mut self,
        interfere: impl Fn(&ProxiedCall) -> Interference + Send + Sync + 'static,
    ) -> Self {
        self.interfere = Some(Box::new(interfere));
        self
    }

    /// Adds so much to every call.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Has the `nth` call (from 1) carried out, and loses its reply.
    #[must_use]
    pub fn lose_reply(self, operation: &str, nth: usize) -> Self {
        self.rule(operation, Rule::LoseReply { nth })
    }

    /// Closes the connection of the `nth` call (from 1) before anything is carried out.
    #[must_use]
    pub fn reset(self, operation: &str, nth: usize) -> Self {
        self.rule(operation, Rule::Reset { nth })
    }

    /// Answers in place of the endpoint.
    #[must_use]
    pub fn answer(
        self,
        operation: &str,
        answer: impl Fn(&ProxiedCall) -> Reply + Send + Sync + 'static,
    ) -> Self {
        self.rule(operation, Rule::Answer(Box::new(answer)))
    }

    /// Changes what the endpoint answers.
    #[must_use]
    pub fn rewrite(
        self,
        operation: &str,
        rewrite: impl Fn(&ProxiedCall, &mut Reply) + Send + Sync + 'static,
    ) -> Self {
        self.rule(operation, Rule::Rewrite(Box::new(rewrite)))
    }

    fn rule(mut self, operation: &str, rule: Rule) -> Self {
        self.rules.entry(operation.to_owned()).or_default().push(rule);
        self
    }

    /// Starts the proxy before this endpoint, `http://127.0.0.1:5000`. It ends when it is dropped.
    pub fn before(self, endpoint: &str) -> io::Result<Proxy> {
        let upstream: SocketAddr = endpoint
            .strip_prefix("http://")
            .and_then(|rest| rest.trim_end_matches('/').parse().ok())
            .ok_or_else(|| io::Error::other(format!("{endpoint} is no http://address:port")))?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let inner = Arc::new(Inner {
            upstream,
            rules: self,
            started: Instant::now(),
            calls: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let serving = Arc::clone(&inner);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.ended.load(Ordering::SeqCst) {
                    return;
                }
                let serving = Arc::clone(&serving);
                // A client that goes away in the middle is one of the things that are tested.
                thread::spawn(move || stream.and_then(|stream| serving.serve(stream)).ok());
            }
        });
        Ok(Proxy { url: format!("http://{address}"), address, inner })
    }
}

/// A running proxy.
pub struct Proxy {
    url: String,
    address: SocketAddr,
    inner: Arc<Inner>,
}

impl Proxy {
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The calls so far, in the order in which they arrived.
    pub fn calls(&self) -> Vec<ProxiedCall> {
        self.inner.calls().clone()
    }

    /// How many calls of an operation arrived.
    pub fn count(&self, operation: &str) -> usize {
        self.inner.calls().iter().filter(|call| call.operation == operation).count()
    }

    /// Forgets the calls so far; counting for rules goes on from zero.
    pub fn clear(&self) {
        self.inner.calls().clear();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.inner.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        TcpStream::connect(self.address).ok();
    }
}

struct Inner {
    upstream: SocketAddr,
    rules: ProxyRules,
    started: Instant,
    calls: Mutex<Vec<ProxiedCall>>,
    ended: AtomicBool,
}

impl Inner {
    fn calls(&self) -> MutexGuard<'_, Vec<ProxiedCall>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let request = wire::Request::read(&mut client)?;
        let begun = self.started.elapsed();
        let (index, call) = self.record(&request, begun);
        thread::sleep(self.rules.delay);
        let Some(reply) = self.reply(&request, &call)? else { return Ok(()) };
        if let Some(recorded) = self.calls().get_mut(index) {
            recorded.ended = Some(self.started.elapsed());
            recorded.status = Some(reply.status);
        }
        reply.write(&mut client)
    }

    fn record(&self, request: &wire::Request, begun: Duration) -> (usize, ProxiedCall) {
        let operation = request.operation();
        let mut calls = self.calls();
        let call = ProxiedCall {
            service: request.service(),
            writes: !wire::is_read(&operation),
            nth: 1 + calls.iter().filter(|call| call.operation == operation).count(),
            operation,
            body: String::from_utf8_lossy(&request.body).into_owned(),
            begun,
            ended: None,
            status: None,
        };
        calls.push(call.clone());
        (calls.len() - 1, call)
    }

    /// What to answer; `None`: nothing.
    fn reply(&self, request: &wire::Request, call: &ProxiedCall) -> io::Result<Option<Reply>> {
        match self.rules.interfere.as_ref().map(|interfere| interfere(call)) {
            None | Some(Interference::Pass) => self.reply_by_rules(request, call),
            Some(Interference::Answer(reply)) => Ok(Some(reply)),
            Some(Interference::Reset) => Ok(None),
            Some(Interference::Lose(then)) => {
                self.reply_by_rules(request, call)?;
                then();
                Ok(None)
            }
        }
    }

    fn reply_by_rules(
        &self,
        request: &wire::Request,
        call: &ProxiedCall,
    ) -> io::Result<Option<Reply>> {
        let rules = self.rules.rules.get(&call.operation).map_or(&[] as &[Rule], Vec::as_slice);
        if rules.iter().any(|rule| matches!(rule, Rule::Reset { nth } if *nth == call.nth)) {
            return Ok(None);
        }
        let own = rules.iter().find_map(|rule| match rule {
            Rule::Answer(answer) => Some(answer(call)),
            _ => None,
        });
        let mut reply = match own {
            Some(reply) => reply,
            None => request.forward(self.upstream)?,
        };
        for rule in rules {
            if let Rule::Rewrite(rewrite) = rule {
                rewrite(call, &mut reply);
            }
        }
        let lost =
            rules.iter().any(|rule| matches!(rule, Rule::LoseReply { nth } if *nth == call.nth));
        Ok((!lost).then_some(reply))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use serde_json::json;

    use super::*;

    /// An endpoint that answers every request with how many it has seen.
    fn endpoint() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            for (seen, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                wire::Request::read(&mut stream).unwrap();
                Reply::json(200, &json!({"seen": seen + 1})).write(&mut stream).unwrap();
            }
        });
        url
    }

    /// Sends an operation as ECS names it; what comes back, whole.
    fn send(proxy: &Proxy, operation: &str) -> String {
        let mut stream = TcpStream::connect(proxy.address).unwrap();
        let request = format!(
            "POST / HTTP/1.1\r\nHost: h\r\nX-Amz-Target: AmazonEC2ContainerServiceV20141113.{operation}\
             \r\nAuthorization: AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/ecs/aws4_request, \
             Signature=x\r\nContent-Length: 2\r\n\r\n{{}}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn calls_pass_and_are_recorded() {
        let proxy = ProxyRules::default().before(&endpoint()).unwrap();
        assert!(send(&proxy, "ListClusters").ends_with(r#"{"seen":1}"#));
        assert!(send(&proxy, "ListClusters").starts_with("HTTP/1.1 200"));
        let calls = proxy.calls();
        assert_eq!(
            (calls[1].service.as_str(), calls[1].operation.as_str()),
            ("ecs", "ListClusters")
        );
        assert_eq!((calls[1].nth, calls[1].status, calls[1].json()), (2, Some(200), json!({})));
        assert!(calls[1].ended.unwrap() >= calls[1].begun);
        proxy.clear();
        assert_eq!(proxy.count("ListClusters"), 0);
    }

    #[test]
    fn a_lost_reply_was_carried_out_and_a_reset_call_was_not() {
        let proxy = ProxyRules::default()
            .lose_reply("UpdateService", 1)
            .reset("RunTask", 1)
            .before(&endpoint())
            .unwrap();
        assert_eq!(send(&proxy, "UpdateService"), "");
        assert_eq!(send(&proxy, "RunTask"), "");
        // The endpoint has seen the first, not the second.
        assert!(send(&proxy, "UpdateService").ends_with(r#"{"seen":2}"#));
        assert!(send(&proxy, "RunTask").ends_with(r#"{"seen":3}"#));
        assert_eq!(proxy.calls()[0].ended, None);
    }

    #[test]
    fn rounds_are_the_longest_chain() {
        let call = |begun: u64, ended: Option<u64>| ProxiedCall {
            service: String::new(),
            operation: String::new(),
            nth: 1,
            writes: false,
            body: String::new(),
            begun: Duration::from_millis(begun),
            ended: ended.map(Duration::from_millis),
            status: None,
        };
        assert_eq!(rounds(&[]), 0);
        assert_eq!(rounds(&[call(0, Some(10)), call(1, Some(9)), call(2, None)]), 1);
        // One long call beside three short ones that follow each other.
        let calls = [call(0, Some(90)), call(0, Some(10)), call(10, Some(20)), call(25, Some(30))];
        assert_eq!(rounds(&calls), 3);
    }

    #[test]
    fn a_call_is_interfered_with() {
        let (told, heard) = std::sync::mpsc::channel();
        let proxy = ProxyRules::default()
            .interfere(move |call| match call.operation.as_str() {
                "UpdateService" if call.writes => {
                    let told = told.clone();
                    Interference::Lose(Box::new(move || told.send("done").unwrap()))
                }
                "RunTask" => Interference::Reset,
                "ListClusters" if !call.writes => {
                    Interference::Answer(Reply::json(503, &json!({"busy": true})))
                }
                _ => Interference::Pass,
            })
            .before(&endpoint())
            .unwrap();
        assert_eq!(send(&proxy, "UpdateService"), "");
        assert_eq!(heard.recv(), Ok("done"));
        assert_eq!(send(&proxy, "RunTask"), "");
        assert!(send(&proxy, "ListClusters").starts_with("HTTP/1.1 503"));
        assert!(send(&proxy, "StopTask").ends_with(r#"{"seen":2}"#));
    }

    #[test]
    fn answers_are_rewritten_or_made_up() {
        let proxy = ProxyRules::default()
            .rewrite("DescribeServices", |call, reply| {
                let nth = call.nth;
                reply.edit_json(|json| json["nth"] = nth.into());
            })
            .answer("ListServiceDeployments", |_| Reply::json(200, &json!({"made": "up"})))
            .delay(Duration::from_millis(30))
            .before(&endpoint())
            .unwrap();
        assert!(send(&proxy, "ListServiceDeployments").ends_with(r#"{"made":"up"}"#));
        assert!(send(&proxy, "DescribeServices").ends_with(r#"{"nth":1,"seen":1}"#));
        let call = &proxy.calls()[0];
        assert!(call.ended.unwrap() >= call.begun + Duration::from_millis(30));
    }
}
