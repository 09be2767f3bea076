//! Plan files.

use relctl_plan::Plan;
use relctl_render::{Style, plan_json, plan_markdown, plan_text};

/// Reads a plan file, as `relctl show` and `relctl apply` do.
pub fn plan_file(data: &[u8]) -> bool {
    let Ok(plan) = serde_json::from_slice::<Plan>(data) else { return false };
    let accepted = plan.verify().is_ok();
    if accepted {
        survives_being_written(&plan);
    }
    // Whoever forges a plan also computes its id: what is shown for review must live with that.
    if let Ok(forged) = Plan::new(plan.body, plan.meta) {
        assert!(forged.verify().is_ok(), "a plan refuses its own id");
        survives_being_written(&forged);
        show(&forged);
    }
    accepted
}

fn survives_being_written(plan: &Plan) {
    let text = plan_json(plan).expect("a plan that has an id is JSON");
    let again: Plan = serde_json::from_str(&text).expect("what was written is read");
    assert!(again.verify().is_ok(), "a plan does not survive being written");
    assert_eq!(&again.plan_id, &plan.plan_id);
}

/// Shows it in every form, and looks for what could forge a line of the terminal.
fn show(plan: &Plan) {
    let style = Style { color: false, width: 80, unicode: true };
    let shown =
        [plan_text(plan, Some("relctl apply"), &style), plan_markdown(plan, "relctl apply")];
    for text in shown {
        let forges = |c: char| c.is_control() && c != '\n';
        assert!(!text.contains(forges), "a control character is shown: {text:?}");
        assert!(text.len() < 64 << 20, "{} bytes are shown", text.len());
    }
}
