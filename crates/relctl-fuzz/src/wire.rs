//! The classifier of requests that plugins send.

use relctl_broker::HttpRequest;
use relctl_broker::http::{classified, known_services};

/// Classifies a request: the lines before the first empty one are `method path service` and the
/// headers, the rest is the body.
pub fn wire(data: &[u8]) -> bool {
    let end = data.windows(2).position(|two| two == b"\n\n");
    let (head, body) = match end {
        Some(end) => (data.get(..end), data.get(end + 2..)),
        None => (Some(data), None),
    };
    let head = String::from_utf8_lossy(head.unwrap_or_default());
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let mut word = || first.next().unwrap_or_default();
    let (method, path, service) = (word(), word(), word());
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let request =
        HttpRequest { service, method, path, headers, body: body.unwrap_or_default().to_vec() };
    check(&request)
}

fn check(request: &HttpRequest) -> bool {
    let Ok(sent) = classified("us-east-1", request) else { return false };
    assert!(known_services().contains(&sent.service), "{} is not a service", sent.service);
    // What is sent is read as the same operation, and is already in its own form.
    let again =
        HttpRequest { headers: sent.headers.clone(), body: sent.body.clone(), ..request.clone() };
    match classified("us-east-1", &again) {
        Ok(again) => assert_eq!(again, sent, "what is sent is something else when it is read"),
        Err(refusal) => panic!("what is sent would be refused: {refusal}"),
    }
    // Nothing of the plugin's headers goes on but the two that name the operation.
    assert!(sent.headers.len() <= 2);
    for (name, _) in &sent.headers {
        assert!(matches!(name.as_str(), "content-type" | "x-amz-target"), "{name} is sent");
    }
    true
}
