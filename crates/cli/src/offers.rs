//! The orders that a run may use: the wallet's own for what it owns, the market's for the rest.

use iexec_protocol::{
    Address, U256,
    call::market::Published,
    matching::Mismatch,
    order::{AppOrder, DatasetOrder, Order, Unverified, WorkerpoolOrder},
};

use crate::{
    failure::Failure,
    market,
    preflight::Preflight,
    selection::{self, Chosen, NoMatch, Offer, Offers, Wish},
};

impl Preflight<'_> {
    /// Four orders that match, or what the nearest ones fail at; the owners are those of app, dataset and workerpool.
    pub(crate) async fn orders(&self, [app_owner, dataset_owner, pool_owner]: [Address; 3]) -> Result<Chosen, Failure> {
        let apps = self.app_offers(app_owner).await?;
        let datasets = self.dataset_offers(dataset_owner).await?;
        // First what fits, so that no page of strangers hides it; what does not fit only to explain.
        let mut refusal = NoMatch::Missing("workerpool");
        for explain in [false, true] {
            let workerpools = self.pool_offers(pool_owner, explain).await?;
            let offers = Offers { apps: apps.clone(), datasets: datasets.clone(), workerpools };
            match selection::choose(&offers, self.wish) {
                Ok(chosen) => return Ok(chosen),
                Err(found) => refusal = found,
            }
        }
        Err(self.explain(&refusal))
    }

    async fn app_offers(&self, owner: Address) -> Result<Vec<Offer<AppOrder>>, Failure> {
        let Wish { app, requester, tag, salt, .. } = *self.wish;
        if owner == requester {
            let volume = U256::ONE;
            return Ok(vec![Offer::Own(AppOrder {
                app,
                volume,
                tag,
                requesterrestrict: requester,
                salt,
                ..AppOrder::default()
            })]);
        }
        let filters = vec![
            ("app", app.to_string()),
            ("dataset", "any".into()),
            ("workerpool", "any".into()),
            ("requester", requester.to_string()),
        ];
        Ok(open(market::find(self.remote, filters).await?))
    }

    async fn dataset_offers(&self, owner: Address) -> Result<Vec<Offer<DatasetOrder>>, Failure> {
        let Wish { dataset, requester, tag, salt, .. } = *self.wish;
        if dataset.is_zero() {
            return Ok(vec![Offer::Market(Unverified::default())]);
        }
        if owner == requester {
            let order = DatasetOrder {
                dataset,
                volume: U256::ONE,
                tag,
                requesterrestrict: requester,
                salt,
                ..DatasetOrder::default()
            };
            return Ok(vec![Offer::Own(order)]);
        }
        let filters = vec![
            ("dataset", dataset.to_string()),
            ("app", "any".into()),
            ("workerpool", "any".into()),
            ("requester", requester.to_string()),
        ];
        Ok(open(market::find(self.remote, filters).await?))
    }

    async fn pool_offers(&self, owner: Address, explain: bool) -> Result<Vec<Offer<WorkerpoolOrder>>, Failure> {
        let Wish { app, dataset, workerpool, requester, tag, category, trust, salt, .. } = *self.wish;
        if owner == requester && !workerpool.is_zero() {
            let (category, trust) = (U256::from(category.unwrap_or(0)), U256::from(trust));
            let order = WorkerpoolOrder {
                workerpool,
                volume: U256::ONE,
                tag,
                category,
                trust,
                requesterrestrict: requester,
                salt,
                ..WorkerpoolOrder::default()
            };
            return Ok(vec![Offer::Own(order)]);
        }
        let mut found = Vec::new();
        for category in self.categories().await? {
            let mut filters = vec![("category", category.to_string())];
            if !workerpool.is_zero() {
                filters.push(("workerpool", workerpool.to_string()));
            }
            if explain {
                filters.extend(["app", "dataset", "requester"].map(|party| (party, "any".to_owned())));
            } else {
                filters.extend([
                    ("app", app.to_string()),
                    ("requester", requester.to_string()),
                    ("minTag", tag.0.to_string()),
                ]);
                filters.extend((!dataset.is_zero()).then(|| ("dataset", dataset.to_string())));
                filters.extend((trust > 1).then(|| ("minTrust", trust.to_string())));
            }
            found.extend(open(market::find(self.remote, filters).await?));
            if !explain && !found.is_empty() {
                break;
            }
        }
        Ok(found)
    }

    async fn categories(&self) -> Result<Vec<u64>, Failure> {
        let count = self.remote.chain.count_categories().await?;
        match self.wish.category {
            None => Ok((0..count.min(20)).collect()),
            Some(category) if category < count => Ok(vec![category]),
            Some(category) => Err(Failure::absent(format!(
                "--category: the chain has no category {category}, only 0 to {}",
                count.saturating_sub(1)
            ))
            .hint("`iexec category show 0` tells what a category is; leave the option out to take any")),
        }
    }

    fn explain(&self, refusal: &NoMatch) -> Failure {
        let hints = |kind: &str| match kind {
            "workerpool" if self.wish.workerpool.is_zero() => {
                "`iexec orderbook workerpool` lists what the market has".to_owned()
            }
            "workerpool" => format!("`iexec orderbook workerpool {}` lists its orders", self.wish.workerpool),
            "dataset" => format!("its owner offers it with `iexec dataset publish {}`", self.wish.dataset),
            _ => format!("its owner offers it with `iexec app publish {}`", self.wish.app),
        };
        match refusal {
            NoMatch::Missing(kind) => {
                Failure::user("NoMatchingOrder", format!("the market has no open {kind} order for this run"))
                    .hint(hints(kind))
            }
            NoMatch::Nearest(mismatches) => {
                let words: Vec<_> = mismatches.iter().map(Mismatch::to_string).collect();
                let kind = mismatches.first().map_or("workerpool", |first| first.order);
                Failure::user(
                    "NoMatchingOrder",
                    format!("no orders match; the nearest ones fail at: {}", words.join("; ")),
                )
                .hint(hints(kind))
            }
        }
    }
}

fn open<T: Order>(published: Vec<Published<T>>) -> Vec<Offer<T>> {
    published.into_iter().filter(|one| one.remaining > 0).map(|one| Offer::Market(one.order)).collect()
}
