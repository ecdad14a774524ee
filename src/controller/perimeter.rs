//! What the operator closes to Connectors in its own cluster: the networks of Services, and the API server.
//!
//! # Why
//! The cluster says which networks its Services have (`ServiceCIDR`, since Kubernetes 1.33). Where it does not, or does not let
//! itself be asked, the network around the API server's own Service is closed, which is one of them.

use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use kube::{Api, Client, api::ListParams};

use super::call::within;
use crate::transport::egress::Egress;

/// How much around the API server's Service is closed where the cluster does not say more, as prefix lengths.
const AROUND: (u8, u8) = (16, 112);

/// The egress of an operator in the cluster of `client`, whose API server is at `server`. `opened` wins.
pub async fn egress(client: &Client, server: Option<&str>, opened: Vec<IpNet>) -> Egress {
    let service = std::env::var("KUBERNETES_SERVICE_HOST").ok();
    let service: Option<IpAddr> = service.and_then(|host| host.parse().ok());
    let mut egress = Egress::new(opened);
    for network in service_networks(client, service).await {
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

async fn service_networks(client: &Client, service: Option<IpAddr>) -> Vec<IpNet> {
    let api = Api::<ServiceCIDR>::all(client.clone());
    match within(api.list(&ListParams::default())).await {
        Ok(list) => {
            let specs = list.items.into_iter().filter_map(|object| object.spec?.cidrs);
            let networks = specs.flatten().filter_map(|cidr| cidr.parse().ok());
            networks.collect()
        }
        Err(failed) => {
            let around = service.and_then(|address| {
                let length = if address.is_ipv4() { AROUND.0 } else { AROUND.1 };
                IpNet::new(address, length).ok()
            });
            tracing::warn!(
                %failed,
                ?around,
                "the cluster does not say which networks its Services have: this one is closed to Connectors"
            );
            around.into_iter().collect()
        }
    }
}
