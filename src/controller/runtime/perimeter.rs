//! What the operator closes to Connectors in its own cluster: the networks of Services, and the API server.
//!
//! # Why
//! The cluster says which networks its Services have (`ServiceCIDR`, since Kubernetes 1.33). Where it does not, or does not let
//! itself be asked, the network around the API server's own Service is closed, which is one of them.

use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use kube::{Api, Client, api::ListParams};

use super::api_client::with_deadline;
use crate::{
    controller::{approval::trust::Policies, safeguards::ReleaseSafeguards},
    transport::{SetupError, egress::Egress},
};

/// What whoever installed the operator allows those who configure it.
#[derive(Debug)]
pub struct Perimeter {
    /// Which addresses Connectors may connect to.
    pub egress: Egress,
    /// Which programs may be run as Jobs, and as whom.
    pub jobs: JobRules,
    /// What people must say yes to.
    pub safeguards: ReleaseSafeguards,
    /// What makes sure of who says what.
    pub policies: Policies,
}

/// Which programs may be run as Jobs, and as whom.
#[derive(Debug, Clone, Default)]
pub struct JobRules {
    /// Images, or what they begin with where an entry ends with `/`; none: any.
    pub images: Vec<String>,
    /// Service accounts beside the namespace's default one.
    pub service_accounts: Vec<String>,
}

impl JobRules {
    /// Whether `image` may be run as `account`; empty: the namespace's default one.
    ///
    /// # Errors
    /// What is not allowed.
    pub fn check(&self, image: &str, account: &str) -> Result<(), SetupError> {
        let of = |entry: &String| entry == image || entry.ends_with('/') && image.starts_with(entry.as_str());
        if !self.images.is_empty() && !self.images.iter().any(of) {
            return Err(SetupError::NotAllowed(
                "job.image",
                image.to_owned(),
                "jobs.images",
            ));
        }
        if !account.is_empty() && !self.service_accounts.iter().any(|allowed| allowed == account) {
            let (field, list) = ("job.serviceAccount", "jobs.serviceAccounts");
            return Err(SetupError::NotAllowed(field, account.to_owned(), list));
        }
        Ok(())
    }
}

/// How much around the API server's Service is closed where the cluster does not say more, as prefix lengths.
const AROUND: (u8, u8) = (16, 112);

/// The egress of an operator in the cluster of `client`, whose API server is at `server`, and at `service` for pods. `opened`
/// wins.
pub async fn egress(
    client: &Client,
    (server, service): (Option<&str>, Option<IpAddr>),
    opened: Vec<IpNet>,
) -> Egress {
    let mut egress = Egress::new(opened);
    for network in service_networks(listed(client).await, service) {
        egress = egress.without(network, "service network");
    }
    if let Some(server) = server
        && let Ok(addresses) = tokio::net::lookup_host((server.trim_matches(['[', ']']), 0)).await
    {
        for address in addresses {
            egress = egress.without(address.ip().into(), "API server");
        }
    }
    egress
}

/// The Service of the API server, as a pod is told.
pub fn own_service() -> Option<IpAddr> {
    std::env::var("KUBERNETES_SERVICE_HOST").ok()?.parse().ok()
}

/// What the cluster says of its networks; none if it does not.
async fn listed(client: &Client) -> Vec<ServiceCIDR> {
    let api = Api::<ServiceCIDR>::all(client.clone());
    match with_deadline(api.list(&ListParams::default())).await {
        Ok(list) => list.items,
        Err(failed) => {
            tracing::warn!(%failed, "the cluster does not let itself be asked which networks its Services have");
            vec![]
        }
    }
}

/// The networks that are listed; without any the one around `service`.
fn service_networks(listed: Vec<ServiceCIDR>, service: Option<IpAddr>) -> Vec<IpNet> {
    let specs = listed.into_iter().filter_map(|object| object.spec?.cidrs);
    let networks: Vec<IpNet> = specs.flatten().filter_map(|cidr| cidr.parse().ok()).collect();
    if !networks.is_empty() {
        return networks;
    }
    let around = service.and_then(|address| {
        let length = if address.is_ipv4() { AROUND.0 } else { AROUND.1 };
        Some(IpNet::new(address, length).ok()?.trunc())
    });
    tracing::warn!(
        ?around,
        "the cluster does not say which networks its Services have: this one is closed to Connectors"
    );
    around.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::networking::v1::ServiceCIDRSpec;

    use super::*;

    fn listed(cidrs: &[&str]) -> ServiceCIDR {
        ServiceCIDR {
            spec: Some(ServiceCIDRSpec {
                cidrs: Some(cidrs.iter().map(|cidr| (*cidr).to_owned()).collect()),
            }),
            ..ServiceCIDR::default()
        }
    }

    #[test]
    fn services_are_where_the_cluster_says_or_else_around_the_api_servers_own() {
        let (four, six) = ("10.96.0.1", "fd00:10:96::1");
        for (list, service, expected) in [
            (
                vec![listed(&["10.0.0.0/24", "fd00::/108"]), listed(&["10.7.0.0/16"])],
                Some(four),
                vec!["10.0.0.0/24", "fd00::/108", "10.7.0.0/16"],
            ),
            (vec![], Some(four), vec!["10.96.0.0/16"]),
            (vec![], Some(six), vec!["fd00:10:96::/112"]),
            // What says nothing is no answer.
            (
                vec![ServiceCIDR::default(), listed(&["nonsense"])],
                Some(four),
                vec!["10.96.0.0/16"],
            ),
            (vec![], None, vec![]),
        ] {
            let expected: Vec<IpNet> = expected.iter().map(|cidr| cidr.parse().unwrap()).collect();
            let service = service.map(|address| address.parse().unwrap());
            assert_eq!(service_networks(list, service), expected);
        }
    }

    #[test]
    fn programs_run_only_as_whom_and_from_where_the_installer_allows() {
        let anything = JobRules::default();
        assert!(anything.check("registry.example.com/legacy:1", "").is_ok());
        assert!(
            anything
                .check("registry.example.com/legacy:1", "cluster-admin")
                .is_err()
        );
        let rules = JobRules {
            images: vec!["registry.example.com/tools/".into(), "docker.io/legacy:2".into()],
            service_accounts: vec!["legacy".into()],
        };
        for (image, account, allowed) in [
            ("registry.example.com/tools/payroll:7", "legacy", true),
            ("docker.io/legacy:2", "", true),
            ("docker.io/legacy:20", "", false),
            ("registry.example.com/tools", "", false),
            ("registry.example.com.evil.test/tools/x", "", false),
            ("docker.io/legacy:2", "default-admin", false),
        ] {
            assert_eq!(rules.check(image, account).is_ok(), allowed, "{image} {account}");
        }
    }
}
