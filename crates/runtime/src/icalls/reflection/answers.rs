//! Answers to questions about metadata, which programs ask again and again: what is asked of a finished type never changes.

use parking_lot::Mutex;
use rustc_hash::FxHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// So many answers are kept, each in the place that the hash of its question gives.
const PLACES: usize = 512;

struct Answer<Q, A> {
    question: Q,
    list: Arc<[A]>,
}

type Places<Q, A> = Box<[Option<Answer<Q, A>>]>;

/// Lists by what they are the answer to. Later ones take the place of former ones.
pub(super) struct Answers<Q, A>(Mutex<Places<Q, A>>);

impl<Q: Hash + Eq, A> Answers<Q, A> {
    pub(super) fn new() -> Answers<Q, A> {
        Answers(Mutex::new(std::iter::repeat_with(|| None).take(PLACES).collect()))
    }

    /// The answer, if it is still known.
    pub(super) fn find(&self, question: &Q) -> Option<Arc<[A]>> {
        let answers = self.0.lock();
        let answer = answers[place(question)].as_ref().filter(|answer| answer.question == *question)?;
        Some(answer.list.clone())
    }

    /// Keeps an answer.
    pub(super) fn add(&self, question: Q, list: Arc<[A]>) {
        let place = place(&question);
        self.0.lock()[place] = Some(Answer { question, list });
    }
}

fn place(question: &impl Hash) -> usize {
    let mut hasher = FxHasher::default();
    question.hash(&mut hasher);
    hasher.finish() as usize % PLACES
}
