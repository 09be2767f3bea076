//! The cloud services that the broker knows: how each names its operations on the wire, where it
//! is, and how it is signed for. A service that is not in [`SERVICES`] cannot be reached.

/// How a service's operations are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// awsJson1.1: the operation follows this prefix and a dot in `X-Amz-Target`.
    Json { target: &'static str },
    /// awsQuery: the operation is `Action` in the form; `Version` must be this.
    Query { version: &'static str },
}

/// One cloud service.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Service {
    /// As plugins and grants name it. Also the first label of its host, and its name in signatures.
    pub(crate) name: &'static str,
    /// As AWS's own settings name it, `AWS_ENDPOINT_URL_<ID>`.
    pub(crate) id: &'static str,
    pub(crate) protocol: Protocol,
    /// Operations whose answers hold credentials. No grant lets them through: no credential enters
    /// a guest.
    pub(crate) never: &'static [&'static str],
    /// What it answers explains, and decides nothing. So it is asked only while applying, which
    /// spares planning the permission, and nothing waits long for it.
    pub(crate) aside: bool,
}

/// Every service that can be granted.
pub(crate) const SERVICES: &[Service] = &[
    Service {
        name: "ecs",
        id: "ECS",
        protocol: Protocol::Json { target: "AmazonEC2ContainerServiceV20141113" },
        never: &[],
        aside: false,
    },
    Service {
        name: "logs",
        id: "CloudWatch Logs",
        protocol: Protocol::Json { target: "Logs_20140328" },
        never: &[],
        aside: true,
    },
    Service {
        name: "rds",
        id: "RDS",
        protocol: Protocol::Query { version: "2014-10-31" },
        never: &[],
        aside: false,
    },
    Service {
        name: "sts",
        id: "STS",
        protocol: Protocol::Query { version: "2011-06-15" },
        never: &[
            "AssumeRole",
            "AssumeRoleWithSAML",
            "AssumeRoleWithWebIdentity",
            "AssumeRoot",
            "GetDelegatedAccessToken",
            "GetFederationToken",
            "GetSessionToken",
            "GetWebIdentityToken",
        ],
        aside: false,
    },
];

/// The service of that name.
pub(crate) fn service(name: &str) -> Option<&'static Service> {
    SERVICES.iter().find(|service| service.name == name)
}

/// A group of regions with its own accounts and its own domain.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Partition {
    /// The second part of its ARNs.
    pub(crate) name: &'static str,
    pub(crate) domain: &'static str,
}

/// The partition that a region is in.
pub(crate) fn partition(region: &str) -> Partition {
    let (name, domain) = match region {
        _ if region.starts_with("cn-") => ("aws-cn", "amazonaws.com.cn"),
        _ if region.starts_with("us-gov-") => ("aws-us-gov", "amazonaws.com"),
        _ if region.starts_with("us-isob-") => ("aws-iso-b", "sc2s.sgov.gov"),
        _ if region.starts_with("us-iso-") => ("aws-iso", "c2s.ic.gov"),
        _ if region.starts_with("eusc-") => ("aws-eusc", "amazonaws.eu"),
        _ => ("aws", "amazonaws.com"),
    };
    Partition { name, domain }
}

/// The host of a service in a region, as AWS names it.
pub(crate) fn host(service: &Service, region: &str) -> String {
    format!("{}.{region}.{}", service.name, partition(region).domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_follow_the_partition() {
        let ecs = service("ecs").unwrap();
        for (region, expected) in [
            ("us-east-1", "ecs.us-east-1.amazonaws.com"),
            ("cn-north-1", "ecs.cn-north-1.amazonaws.com.cn"),
            ("us-gov-west-1", "ecs.us-gov-west-1.amazonaws.com"),
            ("us-isob-east-1", "ecs.us-isob-east-1.sc2s.sgov.gov"),
        ] {
            assert_eq!(host(ecs, region), expected);
        }
        assert!(service("s3").is_none());
    }
}
