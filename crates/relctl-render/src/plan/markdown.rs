//! A plan as one comment on a pull request: risks first and never cut, details folded.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use relctl_plan::{Plan, Severity};

use super::View;
use super::risks::RiskLine;
use crate::Style;
use crate::history::drift_lines;
use crate::style::severity_name;
use crate::text::{counted, ranges, safe, shorten};

/// The longest comment that GitHub takes, in characters. Bytes are counted, which are never fewer.
const COMMENT_LIMIT: usize = 65_536;

/// Kept free for saying what was left out.
const RESERVE: usize = 400;

/// The plan as GitHub markdown for one comment, at most 65,536 characters. What does not fit is
/// left out from the end of its section, and the comment says what that was; every risk is always
/// there.
///
/// It starts with a comment that readers do not see, `<!-- relctl:plan:<release>:<environment> -->`:
/// CI finds by it the comment that it updates.
pub fn plan_markdown(plan: &Plan, apply_command: &str) -> String {
    markdown_within(plan, apply_command, COMMENT_LIMIT)
}

/// The comment in at most `limit` bytes, at least 4,096.
fn markdown_within(plan: &Plan, apply_command: &str, limit: usize) -> String {
    let limit = limit.max(4_096);
    let view = View::new(plan, Style::PLAIN);
    let top = top(&view);
    let bottom = bottom(plan, apply_command, limit / 8);
    let room = limit.saturating_sub(top.len() + bottom.len() + RESERVE);
    let risks = risks_within(&view.risks(), room);
    let mut left = room.saturating_sub(risks.len());

    // Shown in this order; where there is too little room, the later ones go first.
    let sections = sections(&view);
    let mut out = format!("{top}{risks}");
    let mut missing = Vec::new();
    for section in &sections {
        let (text, hidden) = section.within(left);
        left = left.saturating_sub(text.len());
        out.push_str(&text);
        if hidden > 0 {
            missing.push(format!("{} ({})", section.title, counted(hidden, "line", "lines")));
        }
    }
    if !missing.is_empty() {
        let _ = writeln!(
            out,
            "**Left out, to fit into {limit} characters:** {}. The plan itself holds everything.\n",
            missing.join(", ")
        );
    }
    out.push_str(&bottom);
    out
}

fn top(view: &View<'_>) -> String {
    let body = &view.plan.body;
    let environment = body.environment.as_deref().unwrap_or("-");
    // A name of any length would leave no room for what matters.
    let title = shorten(&view.title(), 300, view.style);
    let in_force = shorten(&view.in_force(), 300, view.style);
    let mut top = format!(
        "<!-- relctl:plan:{}:{} -->\n### {}\n\n",
        marker_part(&body.release),
        marker_part(environment),
        escaped(&title),
    );
    let summary = if view.is_idle() { "No changes".to_owned() } else { view.summary() };
    let drift = match body.drift.len() {
        0 => "no drift".to_owned(),
        count => format!("drift: {}", counted(count, "field", "fields")),
    };
    let _ = writeln!(top, "**{}** · {} · {drift}\n", escaped(&summary), escaped(&in_force));
    top
}

fn bottom(plan: &Plan, apply_command: &str, room: usize) -> String {
    let command = safe(apply_command);
    let fence = fence_for([command.as_ref()]);
    let id = &plan.plan_id;
    let mut bottom =
        format!("Plan `{}`\n", id.as_str().replace(|c: char| !c.is_ascii_hexdigit(), ""));
    // A command that was shortened would be worse than none.
    if command.len() <= room {
        let _ = write!(bottom, "\nTo apply exactly this:\n\n{fence}sh\n{command}\n{fence}\n");
    }
    bottom
}

/// The risks, worst first. Only if they are too long for the whole comment, their sentences are
/// shortened; and if even so there is no room, each kind of risk names its steps.
fn risks_within(risks: &[RiskLine], room: usize) -> String {
    const SHORTENED: [usize; 4] = [usize::MAX, 400, 160, 80];
    if risks.is_empty() {
        return "Risks: none\n\n".to_owned();
    }
    for columns in SHORTENED {
        let mut text = "**Risks**\n\n".to_owned();
        for risk in risks {
            let sentence = shorten(&risk.text, columns, Style::PLAIN);
            let _ = writeln!(text, "{}", risk_item(risk, &sentence));
        }
        text.push('\n');
        if text.len() <= room {
            return text;
        }
    }
    let mut kinds: BTreeMap<Severity, (usize, BTreeSet<usize>)> = BTreeMap::new();
    for risk in risks {
        let (count, steps) = kinds.entry(risk.severity).or_default();
        *count += 1;
        steps.extend(&risk.steps);
    }
    let mut text = "**Risks** (too many for one comment: read the plan itself)\n\n".to_owned();
    for (severity, (count, steps)) in kinds {
        let steps: Vec<usize> = steps.into_iter().collect();
        let steps = shorten(&ranges(&steps, Style::PLAIN), 400, Style::PLAIN);
        let name = severity_name(severity);
        let _ = writeln!(text, "- ⚠ **{name}**: {count} risks, steps {steps}");
    }
    text.push('\n');
    text
}

fn risk_item(risk: &RiskLine, sentence: &str) -> String {
    format!("- ⚠ **{}**: {}", severity_name(risk.severity), escaped(sentence))
}

/// A part of the comment that may be cut at its end.
struct Section {
    title: &'static str,
    /// Folded until a reader opens it.
    folded: bool,
    lines: Vec<String>,
}

impl Section {
    /// The section in at most `room` bytes, and how many of its lines are missing from it.
    fn within(&self, room: usize) -> (String, usize) {
        if self.lines.is_empty() {
            return (String::new(), 0);
        }
        let fence = fence_for(self.lines.iter().map(String::as_str));
        let (open, close) = if self.folded {
            let title = self.title;
            (
                format!("<details><summary>{title}</summary>\n\n{fence}text\n"),
                format!("{fence}\n\n</details>\n\n"),
            )
        } else {
            (format!("**{}**\n\n{fence}text\n", self.title), format!("{fence}\n\n"))
        };
        let mut left = room.saturating_sub(open.len() + close.len());
        let mut text = open;
        let mut shown = 0;
        for line in &self.lines {
            if line.len() + 1 > left {
                break;
            }
            left -= line.len() + 1;
            text.push_str(line);
            text.push('\n');
            shown += 1;
        }
        if shown == 0 {
            return (String::new(), self.lines.len());
        }
        text.push_str(&close);
        (text, self.lines.len() - shown)
    }
}

fn sections(view: &View<'_>) -> Vec<Section> {
    let blocks = view.step_blocks();
    let trimmed = |line: &str| line.trim_end().to_owned();
    let heads = blocks.iter().map(|(head, _)| trimmed(head)).collect();
    let changes = blocks
        .iter()
        .filter(|(_, below)| !below.is_empty())
        .flat_map(|(head, below)| std::iter::once(head).chain(below))
        .map(|line| trimmed(line))
        .collect();
    let section = |title, folded, lines| Section { title, folded, lines };
    vec![
        section("Steps", false, heads),
        section("Undo", false, view.undo_lines()),
        section("Changes", true, changes),
        section(
            "Drift since the last entry",
            true,
            drift_lines(&view.plan.body.drift, 0, view.style),
        ),
        section("Record only", true, view.record_lines()),
        section("Notes", true, view.note_lines()),
        section("Plugins", true, view.plugin_lines()),
    ]
}

/// A fence that is longer than any run of backticks in these texts.
fn fence_for<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let longest = texts
        .into_iter()
        .flat_map(|text| text.split(|c| c != '`'))
        .map(str::len)
        .max()
        .unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

/// The text with everything escaped that markdown, HTML or GitHub would read as more than text.
fn escaped(text: &str) -> String {
    let text = safe(text);
    let mut out = String::with_capacity(text.len() + 16);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let word_follows = chars.peek().is_some_and(|next| next.is_alphanumeric() || *next == '_');
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '~' | '&' | '$' => {
                out.push('\\');
                out.push(c);
            }
            // Links and emoji.
            ':' if chars.peek().is_some_and(|next| !next.is_whitespace()) => out.push_str("\\:"),
            // Mentions of people and issues: an invisible character keeps them from being one.
            '@' | '#' if word_follows => {
                out.push(c);
                out.push_str("&#8203;");
            }
            c => out.push(c),
        }
    }
    out
}

/// A name within the hidden marker, where nothing may end the comment.
fn marker_part(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let name: String = name.chars().take(100).map(|c| if plain(c) { c } else { '_' }).collect();
    name.replace("--", "-_")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Parser, Tag};

    use super::*;
    use crate::plan::testing::{healthflow, hostile, many_services, random_plan};

    const COMMAND: &str = "relctl apply --expect 9c1e04d7";

    #[test]
    fn a_comment() {
        insta::assert_snapshot!(plan_markdown(&healthflow(), COMMAND), @r#"
        <!-- relctl:plan:healthflow:production -->
        ### healthflow v1.1.0 → production

        **1 to create, 1 to update, 2 to run, 1 check.  plan 670165cb…** · in force: v1.0.0 #&#8203;12, verified · no drift

        **Risks**

        - ⚠ **point of no return**: step 3: action.aws\_ecs\_task.migrate declares no undo. After it runs, going back means restoring healthflow-production-db from step 1 (what is written since is lost)

        **Steps**

        ```text
          1  ▶ run     action.aws_db_snapshot.before
          2  + create  resource.aws_ecs_task_definition.backend
          3  ▶ run     action.aws_ecs_task.migrate                                                after 1, 2
          4  ~ update  resource.aws_ecs_service.backend           healthflow, backend                after 3
          5  ✓ check   check.http.health                                                             after 4
        ```

        **Undo**

        ```text
          impossible   step 3: no way back; after this, reverting is partial
          exact        step 4: back to what was there
          kept         steps 1, 2: stays, and does no harm
        ```

        <details><summary>Changes</summary>

        ```text
          1  ▶ run     action.aws_db_snapshot.before
                 db_instance_identifier = healthflow-production-db, name_prefix = healthflow-v1-1-0
          2  + create  resource.aws_ecs_task_definition.backend
                 note: from healthflow-backend:41
               ~ container_definitions.api.image   …/api:v1.0.0 → …/api:v1.1.0
          3  ▶ run     action.aws_ecs_task.migrate                                                after 1, 2
                 command = ["npm","run","migrate:up"], task_definition = (known after step 2)
          4  ~ update  resource.aws_ecs_service.backend           healthflow, backend                after 3
               ~ task_definition   healthflow-backend:41 → (known after step 2)
                 desired_count     6, not managed here
          5  ✓ check   check.http.health                                                             after 4
                 expect = {"status":200}, url = https://api.healthflow.example/health
        ```

        </details>

        <details><summary>Plugins</summary>

        ```text
          aws (aws-ecs) 0.3.1, 239cebe5   account = "123456789012", region = us-east-1
        ```

        </details>

        Plan `670165cbf30019bd214ee3782480d93ed10681511971dd337bf3699a4a408c51`

        To apply exactly this:

        ```sh
        relctl apply --expect 9c1e04d7
        ```
        "#);
    }

    #[test]
    fn a_hostile_plan_stays_inside() {
        insta::assert_snapshot!(plan_markdown(&hostile(), COMMAND), @r#"
        <!-- relctl:plan:health_flow_-____b_:production -->
        ### health\`flow --\> \<b\> v1\\n\\u{1b}\[0m → production

        **1 to update.  plan c1b5c17d…** · in force: v1.0.0 #&#8203;12, verified · no drift

        **Risks**

        - ⚠ **destructive**: step 1, resource.local\_file.evil: x\\n\\nRisks\\n  none\\u{1b}\[2K\\u{202e}\`\`\`\\n\</details\>\<script\>@&#8203;everyone #&#8203;1 \*\*bold\*\*

        **Steps**

        ```text
          1  ~ update  resource.local_file.evil   "a\u0007b"
        ```

        **Undo**

        ```text
          exact   step 1: back to what was there
        ```

        <details><summary>Changes</summary>

        `````text
          1  ~ update  resource.local_file.evil   "a\u0007b"
                 note: x\n\nRisks\n  none\u{1b}[2K\u{202e}```\n</details><script>@everyone #1 **bold**
               ~ content   (3 lines added, 1 removed)
                   - safe
                   + ````
                   + </details>
                   + # title\u{1b}[31m\r
               + labels."a\"\n- b"   "(known after step 9)"
               ~ tag                 v1 → "v2 → v3"
        `````

        </details>

        <details><summary>Notes</summary>

        ````text
          x\n\nRisks\n  none\u{1b}[2K\u{202e}```\n</details><script>@everyone #1 **bold**
        ````

        </details>

        Plan `c1b5c17dfecd006cf007b581736d4def61ebb8f4a3c7db1b58404ddd05adc0de`

        To apply exactly this:

        ```sh
        relctl apply --expect 9c1e04d7
        ```
        "#);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let comment = markdown_within(&many_services(400, true), COMMAND, 6_000);
        assert!(comment.len() <= 6_000);
        let said = comment.lines().find(|line| line.starts_with("**Left out")).unwrap();
        insta::assert_snapshot!(said, @"**Left out, to fit into 6000 characters:** Changes (352 lines). The plan itself holds everything.");
    }

    #[test]
    fn too_many_risks_are_still_counted() {
        let risks: Vec<RiskLine> = (0..2_000)
            .map(|n| RiskLine {
                severity: Severity::Destructive,
                steps: vec![n + 1],
                text: format!("step {}: everything goes", n + 1),
            })
            .collect();
        insta::assert_snapshot!(risks_within(&risks, 4_000), @"
        **Risks** (too many for one comment: read the plan itself)

        - ⚠ **destructive**: 2000 risks, steps 1–2000
        ");
    }

    /// Everything in the comment that is neither text nor code.
    fn structure(markdown: &str) -> Vec<String> {
        Parser::new_ext(markdown, pulldown_cmark::Options::ENABLE_GFM)
            .filter_map(|event| match event {
                Event::Html(html) | Event::InlineHtml(html) => Some(html.trim().to_owned()),
                Event::Start(
                    tag @ (Tag::Link { .. }
                    | Tag::Image { .. }
                    | Tag::Heading { .. }
                    | Tag::Emphasis),
                ) => Some(format!("{tag:?}")),
                _ => None,
            })
            .filter(|html| !html.is_empty() && html != "</details>")
            .filter(|html| !html.starts_with("<details><summary>"))
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn fits_and_keeps_every_risk(plan in random_plan()) {
            let comment = plan_markdown(&plan, COMMAND);
            prop_assert!(comment.len() <= COMMENT_LIMIT);
            for risk in View::new(&plan, Style::PLAIN).risks() {
                let item = risk_item(&risk, &risk.text);
                prop_assert!(comment.lines().any(|line| line == item), "{item}");
            }
            prop_assert!(comment.contains(plan.plan_id.as_str()));
            prop_assert!(comment.contains(COMMAND));
        }

        #[test]
        fn a_small_limit_is_kept(plan in random_plan(), limit in 4_096_usize..20_000) {
            prop_assert!(markdown_within(&plan, COMMAND, limit).len() <= limit);
        }

        #[test]
        fn nothing_breaks_out(plan in random_plan()) {
            let comment = plan_markdown(&plan, COMMAND);
            let structure = structure(&comment);
            prop_assert_eq!(structure.len(), 2, "{:?}", structure);
            prop_assert!(structure[0].starts_with("<!-- relctl:plan:"));
            prop_assert!(structure[1].starts_with("Heading"));
        }
    }
}
