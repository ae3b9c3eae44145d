//! Whether four orders match (`IexecPoco1Facet.matchOrders`), or the first reason why they do not.

use std::fmt::Display;

use alloy_primitives::{Address, U256};
use thiserror::Error;

use crate::{
    order::{AppOrder, DatasetOrder, RequestOrder, WorkerpoolOrder},
    tag::Tag,
};

/// The orders of a possible deal; `dataset` is the empty order when there is none.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// App order.
    pub app: &'a AppOrder,
    /// Dataset order.
    pub dataset: &'a DatasetOrder,
    /// Workerpool order.
    pub workerpool: &'a WorkerpoolOrder,
    /// Request order.
    pub request: &'a RequestOrder,
}

/// What one matched task costs its requester.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// nRLC per task, all three prices.
    pub per_task: U256,
}

/// A mismatch: which field of which order, and both sides.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{order} order: {field} is {offered}, the {against} order has {wanted}")]
pub struct Mismatch {
    /// Kind of the order at fault.
    pub order: &'static str,
    /// Its field.
    pub field: &'static str,
    /// Its value.
    pub offered: String,
    /// Kind of the order it is held against.
    pub against: &'static str,
    /// The value there.
    pub wanted: String,
}

impl Candidate<'_> {
    /// The cost, if everything matches; else every mismatch, in the order in which the contract checks.
    pub fn check(&self) -> Result<Cost, Vec<Mismatch>> {
        let found: Vec<_> =
            self.terms().into_iter().chain(self.prices()).chain(self.tags()).chain(self.restrictions()).collect();
        if !found.is_empty() {
            return Err(found);
        }
        let per_task = self.app.appprice + self.dataset.datasetprice + self.workerpool.workerpoolprice;
        Ok(Cost { per_task })
    }

    fn terms(&self) -> Vec<Mismatch> {
        let Self { app, dataset, workerpool, request } = *self;
        let mut found = Vec::new();
        if request.category != workerpool.category {
            found.push(mismatch("workerpool", "category", workerpool.category, "request", request.category));
        }
        if request.trust > workerpool.trust {
            found.push(mismatch(
                "workerpool",
                "trust",
                workerpool.trust,
                "request",
                format!("at least {}", request.trust),
            ));
        }
        if request.app != app.app {
            found.push(mismatch("app", "app", app.app, "request", request.app));
        }
        if request.dataset != dataset.dataset {
            found.push(mismatch("dataset", "dataset", dataset.dataset, "request", request.dataset));
        }
        found
    }

    fn prices(&self) -> Vec<Mismatch> {
        let Self { app, dataset, workerpool, request } = *self;
        [
            ("app", "appprice", app.appprice, request.appmaxprice),
            ("dataset", "datasetprice", dataset.datasetprice, request.datasetmaxprice),
            ("workerpool", "workerpoolprice", workerpool.workerpoolprice, request.workerpoolmaxprice),
        ]
        .into_iter()
        .filter(|(_, _, price, most)| price > most)
        .map(|(order, field, price, most)| mismatch(order, field, price, "request", format!("at most {most}")))
        .collect()
    }

    fn tags(&self) -> Vec<Mismatch> {
        let Self { app, dataset, workerpool, request } = *self;
        let wanted = app.tag.union(dataset.tag).union(request.tag);
        let mut found = Vec::new();
        if !workerpool.tag.contains(wanted) {
            found.push(mismatch("workerpool", "tag", workerpool.tag, "request", wanted));
        }
        // Only the `tee` bit binds the app (matchOrders-0x07).
        if wanted.is_tee() && !app.tag.is_tee() {
            found.push(mismatch("app", "tag", app.tag, "request", Tag::TEE));
        }
        found
    }

    fn restrictions(&self) -> Vec<Mismatch> {
        let Self { app, dataset, workerpool, request } = *self;
        [
            ("app", "workerpoolrestrict", app.workerpoolrestrict, "workerpool", workerpool.workerpool),
            ("app", "datasetrestrict", app.datasetrestrict, "dataset", dataset.dataset),
            ("app", "requesterrestrict", app.requesterrestrict, "request", request.requester),
            ("dataset", "apprestrict", dataset.apprestrict, "app", app.app),
            ("dataset", "workerpoolrestrict", dataset.workerpoolrestrict, "workerpool", workerpool.workerpool),
            ("dataset", "requesterrestrict", dataset.requesterrestrict, "request", request.requester),
            ("workerpool", "apprestrict", workerpool.apprestrict, "app", app.app),
            ("workerpool", "datasetrestrict", workerpool.datasetrestrict, "dataset", dataset.dataset),
            ("workerpool", "requesterrestrict", workerpool.requesterrestrict, "request", request.requester),
            ("request", "workerpool", request.workerpool, "workerpool", workerpool.workerpool),
        ]
        .into_iter()
        .filter(|(_, _, only, _, is)| *only != Address::ZERO && only != is)
        .map(|(order, field, only, against, is)| mismatch(order, field, only, against, is))
        .collect()
    }
}

fn mismatch(
    order: &'static str,
    field: &'static str,
    offered: impl Display,
    against: &'static str,
    wanted: impl Display,
) -> Mismatch {
    Mismatch { order, field, offered: format!("{offered}"), against, wanted: format!("{wanted}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders() -> (AppOrder, DatasetOrder, WorkerpoolOrder, RequestOrder) {
        let app = AppOrder { app: Address::repeat_byte(1), tag: Tag::TEE, ..Default::default() };
        let pool = WorkerpoolOrder { workerpool: Address::repeat_byte(2), tag: Tag::TEE_TDX, ..Default::default() };
        let request = RequestOrder { app: app.app, tag: Tag::TEE, ..Default::default() };
        (app, DatasetOrder::default(), pool, request)
    }

    fn check(orders: &(AppOrder, DatasetOrder, WorkerpoolOrder, RequestOrder)) -> Result<Cost, Vec<Mismatch>> {
        Candidate { app: &orders.0, dataset: &orders.1, workerpool: &orders.2, request: &orders.3 }.check()
    }

    #[test]
    fn fitting_orders_match_and_cost_the_sum_of_their_prices() {
        let mut fit = orders();
        (fit.0.appprice, fit.3.appmaxprice) = (U256::from(2), U256::from(3));
        (fit.2.workerpoolprice, fit.3.workerpoolmaxprice) = (U256::from(5), U256::from(5));
        assert_eq!(check(&fit), Ok(Cost { per_task: U256::from(7) }));
    }

    #[test]
    fn every_mismatch_names_field_and_both_sides() {
        let mut bad = orders();
        bad.2.category = U256::from(3);
        bad.2.tag = Tag::TEE_SCONE;
        bad.3.tag = Tag::TEE_TDX;
        bad.0.requesterrestrict = Address::repeat_byte(9);
        let found = check(&bad).unwrap_err();
        let fields: Vec<_> = found.iter().map(|m| (m.order, m.field)).collect();
        assert_eq!(fields, [("workerpool", "category"), ("workerpool", "tag"), ("app", "requesterrestrict")]);
        assert_eq!(found[1].to_string(), "workerpool order: tag is tee,scone, the request order has tee,tdx");
    }
}
