//! Which orders a run uses: the first of the market's that match, or the wallet's own for what it owns.
//!
//! Pure: the orders and the wish go in; out come four orders that match, or what the nearest ones fail at.

use iexec_protocol::{
    Address, B256, U256,
    matching::{Candidate, Cost, Mismatch},
    order::{AppOrder, DatasetOrder, Order, RequestOrder, Unverified, WorkerpoolOrder},
    tag::Tag,
};

/// Most orders of a kind that are tried.
const MOST: usize = 50;

/// An order that may be used.
#[derive(Clone, Debug)]
pub(crate) enum Offer<T> {
    /// Of the wallet's own app or workerpool: signed once everything is checked.
    Own(T),
    /// Of the market.
    Market(Unverified<T>),
}

impl<T: Order> Offer<T> {
    pub(crate) fn order(&self) -> &T {
        match self {
            Self::Own(order) => order,
            Self::Market(signed) => &signed.order,
        }
    }
}

/// What may be used, best first. Without a dataset, `datasets` is one empty order.
#[derive(Clone, Debug)]
pub(crate) struct Offers {
    pub(crate) apps: Vec<Offer<AppOrder>>,
    pub(crate) datasets: Vec<Offer<DatasetOrder>>,
    pub(crate) workerpools: Vec<Offer<WorkerpoolOrder>>,
}

/// What the requester wants.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) app: Address,
    pub(crate) dataset: Address,
    pub(crate) workerpool: Address,
    pub(crate) requester: Address,
    pub(crate) beneficiary: Address,
    pub(crate) callback: Address,
    pub(crate) tag: Tag,
    /// `None`: that of the workerpool's order.
    pub(crate) category: Option<u64>,
    pub(crate) trust: u64,
    pub(crate) params: String,
    pub(crate) salt: B256,
}

/// Four orders that match.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) app: Offer<AppOrder>,
    pub(crate) dataset: Offer<DatasetOrder>,
    pub(crate) workerpool: Offer<WorkerpoolOrder>,
    pub(crate) request: RequestOrder,
    pub(crate) cost: Cost,
}

/// Why no orders match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoMatch {
    /// Nobody offers this kind of thing.
    Missing(&'static str),
    /// What the nearest orders fail at.
    Nearest(Vec<Mismatch>),
}

/// The first orders that match.
pub(crate) fn choose(offers: &Offers, wish: &Wish) -> Result<Chosen, NoMatch> {
    for (kind, none) in [
        ("app", offers.apps.is_empty()),
        ("dataset", offers.datasets.is_empty()),
        ("workerpool", offers.workerpools.is_empty()),
    ] {
        if none {
            return Err(NoMatch::Missing(kind));
        }
    }
    let mut nearest: Option<Vec<Mismatch>> = None;
    for workerpool in offers.workerpools.iter().take(MOST) {
        for app in offers.apps.iter().take(MOST) {
            for dataset in offers.datasets.iter().take(MOST) {
                let request = wish.request(app.order(), dataset.order(), workerpool.order());
                match check(app, dataset, workerpool, &request) {
                    Ok(cost) => {
                        let (app, dataset, workerpool) = (app.clone(), dataset.clone(), workerpool.clone());
                        return Ok(Chosen { app, dataset, workerpool, request, cost });
                    }
                    Err(found) if nearest.as_ref().is_none_or(|best| found.len() < best.len()) => nearest = Some(found),
                    Err(_) => {}
                }
            }
        }
    }
    Err(NoMatch::Nearest(nearest.unwrap_or_default()))
}

fn check(
    app: &Offer<AppOrder>,
    dataset: &Offer<DatasetOrder>,
    workerpool: &Offer<WorkerpoolOrder>,
    request: &RequestOrder,
) -> Result<Cost, Vec<Mismatch>> {
    let (app, dataset, workerpool) = (app.order(), dataset.order(), workerpool.order());
    Candidate { app, dataset, workerpool, request }.check()
}

impl Wish {
    /// The request order for these: their prices are what the requester pays at most.
    fn request(&self, app: &AppOrder, dataset: &DatasetOrder, workerpool: &WorkerpoolOrder) -> RequestOrder {
        RequestOrder {
            app: self.app,
            appmaxprice: app.appprice,
            dataset: self.dataset,
            datasetmaxprice: dataset.datasetprice,
            workerpool: self.workerpool,
            workerpoolmaxprice: workerpool.workerpoolprice,
            requester: self.requester,
            volume: U256::ONE,
            tag: self.tag,
            category: self.category.map_or(workerpool.category, U256::from),
            trust: U256::from(self.trust),
            beneficiary: self.beneficiary,
            callback: self.callback,
            params: self.params.clone(),
            salt: self.salt,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish() -> Wish {
        Wish {
            app: Address::repeat_byte(1),
            dataset: Address::ZERO,
            workerpool: Address::ZERO,
            requester: Address::repeat_byte(3),
            beneficiary: Address::repeat_byte(3),
            callback: Address::ZERO,
            tag: Tag::TEE,
            category: None,
            trust: 0,
            params: "{}".into(),
            salt: B256::ZERO,
        }
    }

    fn app() -> AppOrder {
        AppOrder { app: Address::repeat_byte(1), volume: U256::ONE, tag: Tag::TEE, ..AppOrder::default() }
    }

    fn pool(tag: Tag, price: u64) -> Offer<WorkerpoolOrder> {
        let order = WorkerpoolOrder { workerpoolprice: U256::from(price), tag, ..WorkerpoolOrder::default() };
        Offer::Market(Unverified { order, ..Unverified::default() })
    }

    fn offers(workerpools: Vec<Offer<WorkerpoolOrder>>) -> Offers {
        Offers { apps: vec![Offer::Own(app())], datasets: vec![Offer::Own(DatasetOrder::default())], workerpools }
    }

    #[test]
    fn tee_alone_takes_a_pool_of_any_framework_and_the_request_keeps_its_tag() {
        for tag in [Tag::TEE, Tag::TEE_SCONE, Tag::TEE_GRAMINE, Tag::TEE_TDX] {
            let chosen = choose(&offers(vec![pool(tag, 0)]), &wish()).unwrap();
            assert_eq!((chosen.request.tag, chosen.workerpool.order().tag), (Tag::TEE, tag));
        }
    }

    #[test]
    fn the_first_order_that_matches_wins_and_sets_the_prices_and_the_category() {
        let chosen =
            choose(&offers(vec![pool(Tag::NONE, 0), pool(Tag::TEE_TDX, 7), pool(Tag::TEE_TDX, 9)]), &wish()).unwrap();
        assert_eq!(chosen.request.workerpoolmaxprice, U256::from(7));
        assert_eq!(chosen.cost.per_task, U256::from(7));
    }

    #[test]
    fn without_a_match_the_nearest_orders_mismatches_are_told() {
        let mut far = pool(Tag::NONE, 0);
        if let Offer::Market(signed) = &mut far {
            signed.order.apprestrict = Address::repeat_byte(9);
        }
        let wish = Wish { tag: Tag::TEE_TDX, ..wish() };
        let Err(NoMatch::Nearest(found)) = choose(&offers(vec![far, pool(Tag::TEE_SCONE, 0)]), &wish) else { panic!() };
        let words: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(words, ["workerpool order: tag is tee,scone, the request order has tee,tdx"]);
    }

    #[test]
    fn a_kind_that_nobody_offers_is_named() {
        assert_eq!(choose(&offers(vec![]), &wish()).unwrap_err(), NoMatch::Missing("workerpool"));
    }
}
