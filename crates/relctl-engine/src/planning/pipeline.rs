//! From goals to decided objects: resolve, validate, observe, decide, assess.
//!
//! Reads are batched: everything whose identity is known from the start is observed in one go.
//! What refers to other objects is then decided in waves, each after what it needs.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use rayon::prelude::*;
use relctl_plan::{
    Address, Assessment, Binding, Diagnostic, Document, Failure, Graph, Kind, Map, Recorded,
    Reference, Role, RunPolicy, Step, TemplateError, Verb,
};

use super::base::{Base, Found, identity_of, kind_of};
use super::calls::by_plugin;
use super::decide::{Decision, bind_after, change, decide_action, decide_resource, finish};
use super::goal::Goal;
use crate::{Change, Context, EngineError, ObjectError, Subject};

/// From so many objects on they are decided on every core. Chosen, not measured: a few are not worth
/// waking other threads for.
const WORTH_EVERY_CORE: usize = 500;

type Decided = Result<Decision, Vec<Diagnostic>>;

/// A goal on its way to a decision.
pub(crate) struct Item<'a> {
    pub(crate) goal: Goal,
    pub(crate) kind: &'a Kind,
    /// Canonical; unknown where references are.
    pub(crate) desired: Arc<Document>,
    /// What `desired` was made canonical from, where that may still change.
    resolved: Option<Arc<Document>>,
    /// `None`: not known yet. Empty: the address is the identity.
    pub(crate) identity: Option<Map>,
    pub(crate) found: Option<Found<'a>>,
    /// `None`: not observed. `Some(None)`: observed, and nothing is there.
    pub(crate) observed: Option<Option<Arc<Map>>>,
    pub(crate) decision: Decision,
    /// What references to this object stand for, where there are any.
    pub(crate) bound: Option<Document>,
}

impl Item<'_> {
    /// The object as it is, where it was observed and is there.
    pub(crate) fn seen(&self) -> Option<&Map> {
        self.observed.as_ref()?.as_deref()
    }

    /// What the ledger recorded last.
    pub(crate) fn prior(&self) -> Option<Arc<Map>> {
        self.found.as_ref().map(|found| Arc::clone(&found.recorded.observed))
    }

    /// Its record, where it is managed now.
    pub(crate) fn managed_before(&self) -> Option<&Recorded> {
        self.found.as_ref().filter(|found| !found.retained).map(|found| found.recorded)
    }

    /// Whether it is managed once the plan is carried out.
    pub(crate) fn is_managed_after(&self) -> bool {
        self.goal.back.as_ref().is_none_or(|back| back.managed)
    }
}

/// Goals with what is known of them.
pub(crate) struct Pipeline<'a> {
    pub(crate) context: Context<'a>,
    pub(crate) base: &'a Base,
    pub(crate) items: Vec<Item<'a>>,
    index: HashMap<Address, usize>,
    /// What goals need, and so may refer to.
    needed_by_goals: HashSet<Address>,
    /// Indices, each after those that it needs.
    pub(crate) order: Vec<usize>,
    pub(crate) errors: Vec<ObjectError>,
    /// Reverts: what holds data and cannot go back, with what its plugin says about it.
    pub(crate) stuck: Vec<(Address, String)>,
}

impl<'a> Pipeline<'a> {
    /// Decides every goal. Lookups are read first: anything may refer to them.
    pub(crate) async fn run(
        context: Context<'a>,
        base: &'a Base,
        lookups: Vec<Goal>,
        goals: Vec<Goal>,
    ) -> Result<Self, EngineError> {
        let mut pipeline = Self {
            context,
            base,
            items: Vec::new(),
            index: HashMap::new(),
            needed_by_goals: HashSet::new(),
            order: Vec::new(),
            errors: Vec::new(),
            stuck: Vec::new(),
        };
        let lookup_waves = pipeline.add(lookups)?;
        for wave in lookup_waves {
            pipeline.look_up(&wave).await?;
        }
        pipeline.stop_on_errors()?;
        let waves = pipeline.add(goals)?;
        pipeline.prefetch(&waves).await?;
        pipeline.stop_on_errors()?;

        let mut needed = BTreeSet::new();
        loop {
            for wave in &waves {
                pipeline.decide_wave(wave, &needed).await?;
            }
            pipeline.stop_on_errors()?;
            let more = pipeline.newly_needed(&needed);
            if more.is_empty() {
                break;
            }
            needed.extend(more);
            for index in waves.iter().flatten() {
                if let Some(item) = pipeline.items.get_mut(*index) {
                    item.bound = None;
                }
            }
        }
        pipeline.check_identities();
        pipeline.stop_on_errors()?;
        Ok(pipeline)
    }

    pub(crate) fn index(&self, address: &Address) -> Option<usize> {
        self.index.get(address).copied()
    }

    pub(crate) fn item(&self, address: &Address) -> Option<&Item<'a>> {
        self.index.get(address).and_then(|index| self.items.get(*index))
    }

    /// Whether a goal needs this object.
    pub(crate) fn is_needed(&self, address: &Address) -> bool {
        self.needed_by_goals.contains(address)
    }

    fn stop_on_errors(&mut self) -> Result<(), EngineError> {
        if self.errors.is_empty() {
            return Ok(());
        }
        let mut errors = std::mem::take(&mut self.errors);
        errors.sort_by(|a, b| a.address.cmp(&b.address));
        Err(EngineError::Objects(errors))
    }

    fn refuse(&mut self, address: &Address, diagnostic: Diagnostic) {
        self.errors.push(ObjectError { address: address.clone(), diagnostic });
    }

    /// Adds goals; returns their indices in waves.
    fn add(&mut self, goals: Vec<Goal>) -> Result<Vec<Vec<usize>>, EngineError> {
        let mut graph = Graph::default();
        self.items.reserve(goals.len());
        self.index.reserve(goals.len());
        for goal in goals {
            let kind = kind_of(self.context, &goal.plugin, &goal.address)?;
            let edges = goal.edges();
            self.needed_by_goals.extend(edges.iter().cloned());
            graph.insert(goal.address.clone(), edges);
            self.index.insert(goal.address.clone(), self.items.len());
            self.items.push(Item {
                goal,
                kind,
                desired: Arc::default(),
                resolved: None,
                identity: None,
                found: None,
                observed: None,
                decision: Decision::Undecided,
                bound: None,
            });
        }
        let waves = graph.waves().map_err(|cycle| EngineError::Cycle(cycle.0))?;
        let waves: Vec<Vec<usize>> = waves
            .into_iter()
            .map(|wave| wave.iter().filter_map(|a| self.index.get(a).copied()).collect())
            .collect();
        self.order.extend(waves.iter().flatten());
        Ok(waves)
    }

    /// What a reference stands for, as far as planning has come.
    pub(crate) fn bind(&self, reference: &Reference) -> Binding {
        let Some(item) = self.item(&reference.address) else { return Binding::Missing };
        let attribute = &reference.attribute;
        let Some(bound) = &item.bound else { return Binding::Unknown };
        if attribute.is_root() {
            return if bound.is_known() {
                Binding::Known(bound.value.as_ref().clone().into())
            } else {
                Binding::Unknown
            };
        }
        if bound.is_unknown(attribute) {
            return Binding::Unknown;
        }
        match bound.get(attribute) {
            Some(value) => Binding::Known(value.clone()),
            None if item.kind.fields.at(attribute).is_some() => {
                Binding::Known(relctl_plan::Value::Null)
            }
            None => Binding::Missing,
        }
    }

    /// Resolves these items, and has their plugins make canonical what is new. Returns nothing:
    /// mistakes are noted.
    async fn canonicalise(&mut self, indices: &[usize]) -> Result<(), EngineError> {
        let mut changed = Vec::with_capacity(indices.len());
        let mut subjects = Vec::with_capacity(indices.len());
        for &index in indices {
            let Some(item) = self.items.get(index) else { continue };
            let first = matches!(item.decision, Decision::Undecided);
            let is_open = !item.goal.inputs.references().is_empty();
            if !first && !is_open {
                continue;
            }
            let address = item.goal.address.clone();
            let resolved = item.goal.inputs.resolve(&|reference| self.bind(reference));
            let document = match resolved {
                Ok(document) => Arc::new(document),
                Err(error) => {
                    let TemplateError { path, message, hint, .. } = error;
                    self.refuse(&address, Diagnostic { path, message, hint });
                    continue;
                }
            };
            let Some(item) = self.items.get_mut(index) else { continue };
            if item.resolved.as_ref() == Some(&document) {
                continue;
            }
            item.resolved = is_open.then(|| Arc::clone(&document));
            item.decision = Decision::Pending;
            let subject = Subject { address, desired: Some(document), prior: None };
            subjects.push((item.goal.plugin.clone(), subject));
            changed.push(index);
        }
        let answers =
            by_plugin(self.context, subjects, |p, s| async move { p.validate(s).await }).await?;
        for (index, answer) in changed.into_iter().zip(answers) {
            let Some(item) = self.items.get_mut(index) else { continue };
            match answer {
                Ok(document) => {
                    item.identity = identity_of(item.kind, &document);
                    item.desired = document.into();
                }
                Err(diagnostics) => {
                    let address = item.goal.address.clone();
                    for diagnostic in diagnostics {
                        self.refuse(&address, diagnostic);
                    }
                }
            }
        }
        Ok(())
    }

    /// Observes those of these items whose identity is known and that were not observed yet.
    async fn observe(&mut self, indices: &[usize]) -> Result<(), EngineError> {
        let mut asked = Vec::with_capacity(indices.len());
        let mut subjects = Vec::with_capacity(indices.len());
        for &index in indices {
            let Some(item) = self.items.get_mut(index) else { continue };
            let role = item.goal.address.role();
            let observable = match role {
                Role::Resource | Role::Lookup => true,
                Role::Action => item.kind.observed,
                Role::Check => false,
            };
            let Some(identity) = item.identity.as_ref().filter(|_| observable) else { continue };
            if item.observed.is_some() {
                continue;
            }
            if role == Role::Resource {
                item.found = self.base.find(&item.goal.plugin, &item.goal.address, identity);
            }
            let subject = Subject {
                address: item.goal.address.clone(),
                desired: Some(Arc::clone(&item.desired)),
                prior: item.prior(),
            };
            subjects.push((item.goal.plugin.clone(), subject));
            asked.push(index);
        }
        let answers =
            by_plugin(self.context, subjects, |p, s| async move { p.observe(s).await }).await?;
        let mut unanswered = Vec::new();
        for (index, answer) in asked.into_iter().zip(answers) {
            let Some(item) = self.items.get_mut(index) else { continue };
            match answer {
                Ok(observed) => item.observed = Some(observed),
                Err(failure) => unanswered.push((item.goal.address.clone(), failure)),
            }
        }
        answered(unanswered)
    }

    /// Reads one wave of lookups.
    async fn look_up(&mut self, wave: &[usize]) -> Result<(), EngineError> {
        self.canonicalise(wave).await?;
        self.stop_on_errors()?;
        self.observe(wave).await?;
        for &index in wave {
            let Some(item) = self.items.get_mut(index) else { continue };
            let address = item.goal.address.clone();
            item.decision = Decision::Noop(None);
            match item.observed.clone() {
                Some(Some(observed)) => item.bound = Some(Document::known(observed)),
                Some(None) => self.refuse(&address, not_found(&address)),
                None => self.refuse(&address, unknown_lookup()),
            }
        }
        Ok(())
    }

    /// Makes every goal canonical as far as lookups go, and observes what can be told apart.
    async fn prefetch(&mut self, waves: &[Vec<usize>]) -> Result<(), EngineError> {
        let all: Vec<usize> = waves.iter().flatten().copied().collect();
        self.canonicalise(&all).await?;
        self.stop_on_errors()?;
        self.observe(&all).await
    }

    /// Decides one wave: everything that it needs is decided.
    async fn decide_wave(
        &mut self,
        wave: &[usize],
        needed: &BTreeSet<Address>,
    ) -> Result<(), EngineError> {
        self.canonicalise(wave).await?;
        self.stop_on_errors()?;
        self.observe(wave).await?;
        let decide = |index: &usize| {
            let item = self.items.get(*index)?;
            let decided = match item.goal.address.role() {
                Role::Resource => decide_resource(self, item),
                Role::Action => decide_action(self, item, needed),
                Role::Check => Ok(Decision::check(item)),
                Role::Lookup => return None,
            };
            Some((*index, decided))
        };
        let decided: Vec<Option<(usize, Decided)>> = if wave.len() < WORTH_EVERY_CORE {
            wave.iter().map(decide).collect()
        } else {
            wave.par_iter().map(decide).collect()
        };
        let mut drafts: Vec<(usize, Box<Step>)> = Vec::new();
        for (index, decided) in decided.into_iter().flatten() {
            match decided {
                Ok(Decision::Drafted(draft)) => drafts.push((index, draft)),
                Ok(decision) => self.settle(index, decision),
                Err(diagnostics) => {
                    let Some(item) = self.items.get(index) else { continue };
                    let address = item.goal.address.clone();
                    for diagnostic in diagnostics {
                        self.refuse(&address, diagnostic);
                    }
                }
            }
        }
        self.assess(drafts).await
    }

    /// Has the drafts assessed and finishes them.
    async fn assess(&mut self, drafts: Vec<(usize, Box<Step>)>) -> Result<(), EngineError> {
        let mut changes = Vec::with_capacity(drafts.len());
        changes.extend(drafts.iter().filter_map(|(index, step)| {
            Some((step.plugin.clone(), change(self.items.get(*index)?, step)))
        }));
        let answers = assess_all(self.context, changes).await?;
        let seals = self.context.ledger.is_encrypted();
        let mut unanswered = Vec::new();
        for ((index, step), answer) in drafts.into_iter().zip(answers) {
            let Some(item) = self.items.get(index) else { continue };
            match answer {
                Ok(assessment) => match finish(item, step, assessment, seals) {
                    Ok(step) => self.settle(index, Decision::Step(step)),
                    Err(diagnostic) => {
                        let address = item.goal.address.clone();
                        self.refuse(&address, diagnostic);
                    }
                },
                Err(Failure::Invalid(diagnostics)) => {
                    let address = item.goal.address.clone();
                    for diagnostic in diagnostics {
                        self.refuse(&address, diagnostic);
                    }
                }
                // What holds data has ways back that only a person may go. They do not block the
                // way back of everything else.
                Err(Failure::Precondition(message))
                    if item.goal.back.is_some() && item.kind.holds_data =>
                {
                    self.stuck.push((item.goal.address.clone(), message));
                    self.settle(index, Decision::Noop(None));
                }
                Err(failure) => unanswered.push((item.goal.address.clone(), failure)),
            }
        }
        answered(unanswered)
    }

    fn settle(&mut self, index: usize, decision: Decision) {
        let Some(item) = self.items.get_mut(index) else { return };
        let is_needed = self.needed_by_goals.contains(&item.goal.address);
        item.bound = match &decision {
            _ if !is_needed => None,
            Decision::Noop(_) | Decision::LetGo | Decision::Adopt(_) => {
                item.observed.clone().flatten().map(Document::known)
            }
            Decision::AlreadyRan(output) => Some(Document::known(Arc::clone(output))),
            Decision::Step(step) if step.verb != Verb::Check => Some(bind_after(item, step)),
            _ => None,
        };
        item.decision = decision;
    }

    /// Actions that run when needed and that something now needs.
    fn newly_needed(&self, needed: &BTreeSet<Address>) -> BTreeSet<Address> {
        let mut moving: BTreeSet<&Address> = BTreeSet::new();
        for index in self.order.iter().rev() {
            let Some(item) = self.items.get(*index) else { continue };
            let steps = item.decision.step().is_some_and(|step| step.verb.is_mutation());
            if steps || moving.contains(&item.goal.address) {
                let edges = item.goal.edges();
                moving.extend(edges.iter().filter_map(|a| self.item(a)).map(|i| &i.goal.address));
            }
        }
        moving
            .into_iter()
            .filter(|address| !needed.contains(*address))
            .filter(|address| {
                self.item(address).is_some_and(|item| {
                    item.goal.address.role() == Role::Action
                        && item.kind.run == RunPolicy::WhenNeeded
                })
            })
            .cloned()
            .collect()
    }

    /// Refuses two goals for one object.
    fn check_identities(&mut self) {
        let mut seen: BTreeMap<(String, String, String), Address> = BTreeMap::new();
        let mut twice = Vec::new();
        for item in &self.items {
            let Some(identity) = item.identity.as_ref().filter(|map| !map.is_empty()) else {
                continue;
            };
            if item.goal.address.role() != Role::Resource {
                continue;
            }
            let text = relctl_plan::Value::Object(identity.clone()).to_string();
            let key = (item.goal.plugin.clone(), item.goal.address.kind().to_owned(), text);
            if let Some(first) = seen.insert(key, item.goal.address.clone()) {
                twice.push((item.goal.address.clone(), first));
            }
        }
        for (address, first) in twice {
            self.refuse(
                &address,
                Diagnostic {
                    path: relctl_plan::Path::ROOT,
                    message: format!("`{address}` and `{first}` are the same object"),
                    hint: Some("give them different identities, or remove one of them".to_owned()),
                },
            );
        }
    }
}

/// Has changes assessed, each by its plugin.
pub(crate) async fn assess_all(
    context: Context<'_>,
    changes: Vec<(String, Change)>,
) -> Result<Vec<Result<Assessment, Failure>>, EngineError> {
    by_plugin(context, changes, |p, c| async move { p.assess(c).await }).await
}

fn answered(unanswered: Vec<(Address, Failure)>) -> Result<(), EngineError> {
    if unanswered.is_empty() { Ok(()) } else { Err(EngineError::Unanswered(unanswered)) }
}

fn not_found(address: &Address) -> Diagnostic {
    Diagnostic {
        path: relctl_plan::Path::ROOT,
        message: format!("`{address}` finds nothing"),
        hint: Some("check its fields, and the account and region of its plugin".to_owned()),
    }
}

fn unknown_lookup() -> Diagnostic {
    Diagnostic {
        path: relctl_plan::Path::ROOT,
        message: "a lookup is read while planning, so it can refer only to other lookups"
            .to_owned(),
        hint: Some("use values that are known before anything is applied".to_owned()),
    }
}
