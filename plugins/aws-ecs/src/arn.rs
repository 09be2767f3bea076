//! Amazon resource names, as far as ECS objects need them.

/// What precedes the resource in an ARN: `arn:partition:service:region:account:`.
pub(crate) fn prefix_of(arn: &str) -> Option<&str> {
    let at = arn.match_indices(':').nth(4)?.0;
    arn.starts_with("arn:").then(|| arn.get(..=at)).flatten()
}

/// The region and the account of an ARN.
pub(crate) fn region_and_account(arn: &str) -> Option<(&str, &str)> {
    let mut parts = prefix_of(arn)?.split(':').skip(3);
    Some((parts.next()?, parts.next()?))
}

/// The last part of an ARN, or of a name: `arn:…:cluster/web` and `web` are `web`.
pub(crate) fn name_of(arn_or_name: &str) -> &str {
    arn_or_name.rsplit('/').next().unwrap_or(arn_or_name)
}

/// `family:revision` of a task definition's ARN, or of what is that already.
pub(crate) fn family_revision(arn_or_name: &str) -> &str {
    name_of(arn_or_name)
}

/// The family of `…/family:revision`.
pub(crate) fn family_of(arn: &str) -> Option<&str> {
    family_revision(arn).split_once(':').map(|(family, _)| family)
}

/// The revision of `…/family:revision`.
pub(crate) fn revision_of(arn: &str) -> Option<u64> {
    family_revision(arn).split_once(':')?.1.parse().ok()
}

/// The partition that a region belongs to.
pub(crate) fn partition_of(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_names() {
        let arn = "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:7";
        assert_eq!(prefix_of(arn), Some("arn:aws:ecs:eu-west-1:123456789012:"));
        assert_eq!(region_and_account(arn), Some(("eu-west-1", "123456789012")));
        assert_eq!(family_revision(arn), "web:7");
        assert_eq!((family_of("web:7"), revision_of(arn)), (Some("web"), Some(7)));
        assert_eq!((family_of("web"), revision_of("web"), prefix_of("web:1")), (None, None, None));
        assert_eq!(name_of("arn:aws:ecs:r:a:service/cluster/svc"), "svc");
        assert_eq!(partition_of("us-gov-west-1"), "aws-us-gov");
    }
}
