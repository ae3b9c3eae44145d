//! What the chain said a short time ago about things that it does not change, or hardly ever: deals, apps, datasets,
//! categories, the TEE broker.
//!
//! Only a reorganisation of the chain can give one of their ids other contents, so what is told here may lag behind by
//! [`TIME`] and no more. Whether a task is still open is never kept: ask [`Chain::view_task`].

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use alloy::primitives::Address;
use iexec_protocol::{deal::Deal, id::DealId};

use crate::{
    client::{Answer, Chain},
    error::ChainError,
    view::{App, Category, Dataset},
};

/// How long an answer is kept.
pub const TIME: Duration = Duration::from_mins(1);
/// Answers of each kind.
const MANY: usize = 4096;
/// Longest texts of one answer, in bytes; a longer one is not kept.
const LONG: usize = 4096;

/// Answers of each kind.
#[derive(Default)]
pub(crate) struct Recent {
    deals: Answers<DealId, Deal>,
    apps: Answers<Address, App>,
    datasets: Answers<Address, Dataset>,
    categories: Answers<u64, Category>,
    brokers: Answers<Address, Option<Address>>,
}

impl Chain {
    /// [`Chain::view_deal`], at most [`TIME`] ago.
    pub fn recent_deal(&self, id: DealId) -> Answer<'_, Option<Deal>> {
        let length = |deal: &Deal| deal.params.len();
        Box::pin(async move { self.recent().deals.or(id, length, || self.view_deal(id)).await })
    }

    /// [`Chain::view_app`], at most [`TIME`] ago. An app's owner may change in that time; nothing else does.
    pub fn recent_app(&self, address: Address) -> Answer<'_, Option<App>> {
        let length = |app: &App| app.name.len() + app.kind.len() + app.multiaddr.len() + app.mrenclave.len();
        Box::pin(async move { self.recent().apps.or(address, length, || self.view_app(address)).await })
    }

    /// [`Chain::view_dataset`], at most [`TIME`] ago. A dataset's owner may change in that time; nothing else does.
    pub fn recent_dataset(&self, address: Address) -> Answer<'_, Option<Dataset>> {
        let length = |dataset: &Dataset| dataset.name.len() + dataset.multiaddr.len();
        Box::pin(async move { self.recent().datasets.or(address, length, || self.view_dataset(address)).await })
    }

    /// [`Chain::view_category`], at most [`TIME`] ago.
    pub fn recent_category(&self, id: u64) -> Answer<'_, Option<Category>> {
        let length = |category: &Category| category.name.len() + category.description.len();
        Box::pin(async move { self.recent().categories.or(id, length, || self.view_category(id)).await })
    }

    /// [`Chain::tee_broker`], at most [`TIME`] ago. The hub's owner may name another in that time: ask again before you
    /// refuse what another would be accepted for.
    pub fn recent_tee_broker(&self) -> Answer<'_, Option<Address>> {
        let ask = || -> Answer<'_, _> { Box::pin(async { self.tee_broker().await.map(Some) }) };
        Box::pin(async move { Ok(self.recent().brokers.or(self.hub(), |_| 0, ask).await?.flatten()) })
    }
}

/// Answers and when they were asked for. That something is not there is never kept.
struct Answers<K, V>(Mutex<HashMap<K, (Instant, V)>>);

impl<K, V> Default for Answers<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Copy + Eq + Hash, V: Clone> Answers<K, V> {
    async fn or<'a>(
        &self,
        key: K,
        length: impl Fn(&V) -> usize,
        ask: impl FnOnce() -> Answer<'a, Option<V>>,
    ) -> Result<Option<V>, ChainError> {
        let asked = Instant::now();
        if let Some(kept) = self.get(&key, asked) {
            return Ok(Some(kept));
        }
        let found = ask().await?;
        if let Some(value) = &found
            && length(value) <= LONG
        {
            self.put(key, asked, value.clone());
        }
        Ok(found)
    }

    fn get(&self, key: &K, now: Instant) -> Option<V> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(key).filter(|(asked, _)| now.duration_since(*asked) < TIME).map(|(_, value)| value.clone())
    }

    fn put(&self, key: K, asked: Instant, value: V) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MANY && !kept.contains_key(&key) {
            kept.retain(|_, (before, _)| asked.duration_since(*before) < TIME);
            if kept.len() >= MANY {
                kept.clear();
            }
        }
        kept.insert(key, (asked, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers() -> Answers<u64, u64> {
        Answers::default()
    }

    #[test]
    fn an_answer_is_told_for_a_minute_after_it_was_asked_for() {
        let (answers, asked) = (answers(), Instant::now());
        answers.put(1, asked, 5);
        assert_eq!(answers.get(&1, asked + TIME.checked_sub(Duration::from_millis(1)).unwrap()), Some(5));
        assert_eq!(answers.get(&1, asked + TIME), None);
    }

    #[test]
    fn there_are_never_more_answers_than_a_fixed_number() {
        let (answers, asked) = (answers(), Instant::now());
        for key in 0..3 * MANY as u64 {
            answers.put(key, asked, key);
            assert_eq!(answers.get(&key, asked), Some(key));
            assert!(answers.0.lock().unwrap().len() <= MANY);
        }
    }

    #[tokio::test]
    async fn what_is_not_there_or_long_is_asked_for_again() {
        let answers = answers();
        let ask = |found: Option<u64>| move || -> Answer<'static, Option<u64>> { Box::pin(async move { Ok(found) }) };
        let length = |_: &u64| LONG;
        assert_eq!(answers.or(1, length, ask(None)).await.unwrap(), None);
        assert_eq!(answers.or(1, |_| LONG + 1, ask(Some(4))).await.unwrap(), Some(4));
        assert_eq!(answers.or(1, length, ask(Some(5))).await.unwrap(), Some(5));
        assert_eq!(answers.or(1, length, ask(Some(6))).await.unwrap(), Some(5));
    }
}
