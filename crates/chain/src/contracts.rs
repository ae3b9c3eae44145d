//! The contracts' interfaces as they are called on the wire: the PoCo hub (an EIP-2535 diamond), its registries, the
//! objects that the registries create, and the RLC token.
//!
//! Names are PoCo 6.1.0's published ABI. Encoding only: who calls what, and what an answer means, is [`crate::view`]'s
//! and [`crate::writer`]'s.
#![allow(missing_docs, clippy::too_many_arguments, clippy::pub_underscore_fields, clippy::used_underscore_binding)]

alloy::sol! {
    struct AppOrder { address app; uint256 appprice; uint256 volume; bytes32 tag; address datasetrestrict; address workerpoolrestrict; address requesterrestrict; bytes32 salt; bytes sign; }
    struct DatasetOrder { address dataset; uint256 datasetprice; uint256 volume; bytes32 tag; address apprestrict; address workerpoolrestrict; address requesterrestrict; bytes32 salt; bytes sign; }
    struct WorkerpoolOrder { address workerpool; uint256 workerpoolprice; uint256 volume; bytes32 tag; uint256 category; uint256 trust; address apprestrict; address datasetrestrict; address requesterrestrict; bytes32 salt; bytes sign; }
    struct RequestOrder { address app; uint256 appmaxprice; address dataset; uint256 datasetmaxprice; address workerpool; uint256 workerpoolmaxprice; address requester; uint256 volume; bytes32 tag; uint256 category; uint256 trust; address beneficiary; address callback; string params; bytes32 salt; bytes sign; }

    /// `operation` 0 signs an order on chain, 1 closes it.
    struct AppOrderOperation { AppOrder order; uint8 operation; bytes sign; }
    struct DatasetOrderOperation { DatasetOrder order; uint8 operation; bytes sign; }
    struct WorkerpoolOrderOperation { WorkerpoolOrder order; uint8 operation; bytes sign; }
    struct RequestOrderOperation { RequestOrder order; uint8 operation; bytes sign; }

    struct Account { uint256 stake; uint256 locked; }
    struct Category { string name; string description; uint256 workClockTimeRef; }
    struct Resource { address pointer; address owner; uint256 price; }
    struct Deal { Resource app; Resource dataset; Resource workerpool; uint256 trust; uint256 category; bytes32 tag; address requester; address beneficiary; address callback; string params; uint256 startTime; uint256 botFirst; uint256 botSize; uint256 workerStake; uint256 schedulerRewardRatio; address sponsor; }
    /// `status`: 0 unset, 1 active, 2 revealing, 3 completed, 4 failed.
    struct Task { uint8 status; bytes32 dealid; uint256 idx; uint256 timeref; uint256 contributionDeadline; uint256 revealDeadline; uint256 finalDeadline; bytes32 consensusValue; uint256 revealCounter; uint256 winnerCounter; address[] contributors; bytes32 resultDigest; bytes results; uint256 resultsTimestamp; bytes resultsCallback; }
    /// `status`: 0 unset, 1 contributed, 2 proved, 3 rejected.
    struct Contribution { uint8 status; bytes32 resultHash; bytes32 resultSeal; address enclaveChallenge; uint256 weight; }
    struct AppInfo { address owner; string m_appName; string m_appType; bytes m_appMultiaddr; bytes32 m_appChecksum; bytes m_appMREnclave; }
    struct DatasetInfo { address owner; string m_datasetName; bytes m_datasetMultiaddr; bytes32 m_datasetChecksum; }
    struct WorkerpoolInfo { address owner; string m_workerpoolDescription; uint256 m_workerStakeRatioPolicy; uint256 m_schedulerRewardRatioPolicy; }
    struct HubDomain { string name; string version; uint256 chainId; address verifyingContract; }

    interface Hub {
        event SchedulerNotice(address indexed workerpool, bytes32 dealid);
        event OrdersMatched(bytes32 dealid, bytes32 appHash, bytes32 datasetHash, bytes32 workerpoolHash, bytes32 requestHash, uint256 volume);
        event TaskInitialize(bytes32 indexed taskid, address indexed workerpool);
        event TaskContribute(bytes32 indexed taskid, address indexed worker, bytes32 hash);
        event TaskFinalize(bytes32 indexed taskid, bytes results);
        event TaskClaimed(bytes32 indexed taskid);
        event ClosedAppOrder(bytes32 appHash);
        event ClosedDatasetOrder(bytes32 datasetHash);
        event ClosedWorkerpoolOrder(bytes32 workerpoolHash);
        event ClosedRequestOrder(bytes32 requestHash);

        error IncompatibleDatasetOrder(string reason);
        error FunctionNotFound(bytes4 selector);

        function owner() external view returns (address);
        function token() external view returns (address);
        function appregistry() external view returns (address);
        function datasetregistry() external view returns (address);
        function workerpoolregistry() external view returns (address);
        function teebroker() external view returns (address);
        function domain() external view returns (HubDomain memory);
        function contribution_deadline_ratio() external view returns (uint256);
        function final_deadline_ratio() external view returns (uint256);

        function viewAccount(address account) external view returns (Account memory);
        function viewDeal(bytes32 id) external view returns (Deal memory);
        function viewTask(bytes32 id) external view returns (Task memory);
        function viewApp(address app) external view returns (AppInfo memory);
        function viewDataset(address dataset) external view returns (DatasetInfo memory);
        function viewWorkerpool(address workerpool) external view returns (WorkerpoolInfo memory);
        function viewConsumed(bytes32 id) external view returns (uint256);
        function viewPresigned(bytes32 id) external view returns (address);
        function viewContribution(bytes32 taskid, address worker) external view returns (Contribution memory);
        function viewCategory(uint256 catid) external view returns (Category memory);
        function countCategory() external view returns (uint256);
        function verifySignature(address identity, bytes32 hash, bytes calldata signature) external view returns (bool);

        function createCategory(string calldata name, string calldata description, uint256 workClockTimeRef) external returns (uint256);
        function withdraw(uint256 amount) external returns (bool);
        function manageAppOrder(AppOrderOperation calldata operation) external;
        function manageDatasetOrder(DatasetOrderOperation calldata operation) external;
        function manageWorkerpoolOrder(WorkerpoolOrderOperation calldata operation) external;
        function manageRequestOrder(RequestOrderOperation calldata operation) external;
        function matchOrders(AppOrder calldata app, DatasetOrder calldata dataset, WorkerpoolOrder calldata workerpool, RequestOrder calldata request) external returns (bytes32);
        function initialize(bytes32 dealid, uint256 idx) external returns (bytes32);
        function contributeAndFinalize(bytes32 taskid, bytes32 resultDigest, bytes calldata results, bytes calldata resultsCallback, address enclaveChallenge, bytes calldata enclaveSign, bytes calldata authorizationSign) external;
        function finalize(bytes32 taskid, bytes calldata results, bytes calldata resultsCallback) external;
        function claim(bytes32 taskid) external;
        function initializeAndClaimArray(bytes32[] calldata dealids, uint256[] calldata indexes) external returns (bool);

        function setTeeBroker(address broker) external;
        function configure(address token, string calldata name, string calldata symbol, uint8 decimals, address appregistry, address datasetregistry, address workerpoolregistry, address v3) external;
    }

    interface Registry {
        event Transfer(address indexed from, address indexed to, uint256 indexed tokenId);
        function isRegistered(address entry) external view returns (bool);
        function balanceOf(address owner) external view returns (uint256);
        function tokenOfOwnerByIndex(address owner, uint256 index) external view returns (uint256);
        function initialize(address previous) external;
        function setBaseURI(string calldata uri) external;
    }
    interface AppRegistry {
        function createApp(address owner, string calldata name, string calldata kind, bytes calldata multiaddr, bytes32 checksum, bytes calldata mrenclave) external returns (address);
        function predictApp(address owner, string calldata name, string calldata kind, bytes calldata multiaddr, bytes32 checksum, bytes calldata mrenclave) external view returns (address);
    }
    interface DatasetRegistry {
        function createDataset(address owner, string calldata name, bytes calldata multiaddr, bytes32 checksum) external returns (address);
        function predictDataset(address owner, string calldata name, bytes calldata multiaddr, bytes32 checksum) external view returns (address);
    }
    interface WorkerpoolRegistry {
        function createWorkerpool(address owner, string calldata description) external returns (address);
        function predictWorkerpool(address owner, string calldata description) external view returns (address);
    }

    interface App {
        function owner() external view returns (address);
        function m_appName() external view returns (string memory);
        function m_appType() external view returns (string memory);
        function m_appMultiaddr() external view returns (bytes memory);
        function m_appChecksum() external view returns (bytes32);
        function m_appMREnclave() external view returns (bytes memory);
    }
    interface Dataset {
        function owner() external view returns (address);
        function m_datasetName() external view returns (string memory);
        function m_datasetMultiaddr() external view returns (bytes memory);
        function m_datasetChecksum() external view returns (bytes32);
    }
    interface Workerpool {
        event PolicyUpdate(uint256 oldWorkerStakeRatioPolicy, uint256 newWorkerStakeRatioPolicy, uint256 oldSchedulerRewardRatioPolicy, uint256 newSchedulerRewardRatioPolicy);
        function owner() external view returns (address);
        function m_workerpoolDescription() external view returns (string memory);
        function m_workerStakeRatioPolicy() external view returns (uint256);
        function m_schedulerRewardRatioPolicy() external view returns (uint256);
        function changePolicy(uint256 newWorkerStakeRatioPolicy, uint256 newSchedulerRewardRatioPolicy) external;
    }

    interface Rlc {
        function balanceOf(address owner) external view returns (uint256);
        function transfer(address to, uint256 amount) external returns (bool);
        function approveAndCall(address spender, uint256 amount, bytes calldata extra) external returns (bool);
    }

    /// EIP-2535: one facet's functions, added (0) to the diamond.
    struct FacetCut { address facetAddress; uint8 action; bytes4[] functionSelectors; }
    struct DiamondArgs { address owner; address init; bytes initCalldata; }
    interface Diamond {
        constructor(FacetCut[] memory cuts, DiamondArgs memory args);
    }
    interface DiamondInit {
        function init() external;
    }
}
