//! Signed orders as the hub's functions take them: the order's fields, then its signature.

use iexec_protocol::order::{AppOrder, DatasetOrder, RequestOrder, Unverified, WorkerpoolOrder};

use crate::contracts;

impl From<Unverified<AppOrder>> for contracts::AppOrder {
    fn from(signed: Unverified<AppOrder>) -> Self {
        let Unverified { order, sign } = signed;
        Self {
            app: order.app,
            appprice: order.appprice,
            volume: order.volume,
            tag: order.tag.0,
            datasetrestrict: order.datasetrestrict,
            workerpoolrestrict: order.workerpoolrestrict,
            requesterrestrict: order.requesterrestrict,
            salt: order.salt,
            sign,
        }
    }
}

impl From<Unverified<DatasetOrder>> for contracts::DatasetOrder {
    fn from(signed: Unverified<DatasetOrder>) -> Self {
        let Unverified { order, sign } = signed;
        Self {
            dataset: order.dataset,
            datasetprice: order.datasetprice,
            volume: order.volume,
            tag: order.tag.0,
            apprestrict: order.apprestrict,
            workerpoolrestrict: order.workerpoolrestrict,
            requesterrestrict: order.requesterrestrict,
            salt: order.salt,
            sign,
        }
    }
}

impl From<Unverified<WorkerpoolOrder>> for contracts::WorkerpoolOrder {
    fn from(signed: Unverified<WorkerpoolOrder>) -> Self {
        let Unverified { order, sign } = signed;
        Self {
            workerpool: order.workerpool,
            workerpoolprice: order.workerpoolprice,
            volume: order.volume,
            tag: order.tag.0,
            category: order.category,
            trust: order.trust,
            apprestrict: order.apprestrict,
            datasetrestrict: order.datasetrestrict,
            requesterrestrict: order.requesterrestrict,
            salt: order.salt,
            sign,
        }
    }
}

impl From<Unverified<RequestOrder>> for contracts::RequestOrder {
    fn from(signed: Unverified<RequestOrder>) -> Self {
        let Unverified { order, sign } = signed;
        Self {
            app: order.app,
            appmaxprice: order.appmaxprice,
            dataset: order.dataset,
            datasetmaxprice: order.datasetmaxprice,
            workerpool: order.workerpool,
            workerpoolmaxprice: order.workerpoolmaxprice,
            requester: order.requester,
            volume: order.volume,
            tag: order.tag.0,
            category: order.category,
            trust: order.trust,
            beneficiary: order.beneficiary,
            callback: order.callback,
            params: order.params,
            salt: order.salt,
            sign,
        }
    }
}
