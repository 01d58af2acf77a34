//! UpdateFeatures: every feature may be given the level it has.

use super::super::dispatch::Call;
use super::features::{FEATURES, Feature};
use crate::wire::ErrorCode;
use crate::wire::messages::update_features::{
    FeatureUpdateKey, UpdatableFeatureResult, UpdateFeaturesRequest, UpdateFeaturesResponse,
};

const UPGRADE: i8 = 1;
const SAFE_DOWNGRADE: i8 = 2;
const UNSAFE_DOWNGRADE: i8 = 3;

/// The first version with a type of upgrade in place of "downgrades allowed".
const TYPED_FROM: i16 = 1;

/// Answers for all updates: when one cannot be had, none is made.
pub(in crate::kafka) fn handle(call: &Call, request: &UpdateFeaturesRequest) -> UpdateFeaturesResponse {
    let refused = request.feature_updates.iter().find_map(|update| {
        let why = check(FEATURES, &update, call.version).err()?;
        Some(format!(
            "no feature was updated, since {} cannot have level {}: {why}",
            update.feature, update.max_version_level
        ))
    });
    match refused {
        Some(message) => UpdateFeaturesResponse {
            error_code: ErrorCode::INVALID_UPDATE_VERSION,
            error_message: Some(message.into()),
            ..Default::default()
        },
        None => {
            let done = |update: FeatureUpdateKey| UpdatableFeatureResult {
                feature: update.feature,
                ..Default::default()
            };
            UpdateFeaturesResponse {
                results: request.feature_updates.iter().map(done).collect(),
                ..Default::default()
            }
        }
    }
}

fn check(features: &[Feature], update: &FeatureUpdateKey, version: i16) -> Result<(), String> {
    let level = update.max_version_level;
    let upgrade_type = match (version >= TYPED_FROM, update.allow_downgrade) {
        (true, _) => update.upgrade_type,
        (false, true) => SAFE_DOWNGRADE,
        (false, false) => UPGRADE,
    };
    let Some(feature) = features.iter().find(|feature| update.feature == feature.name) else {
        return Err("there is no such feature".into());
    };
    // Level 0, which is to do without the feature, is a level where the feature is optional.
    if !(feature.min..=feature.max).contains(&level) {
        return Err(format!("it has levels {} to {}", feature.min, feature.max));
    }
    match upgrade_type {
        UPGRADE if level < feature.level => {
            Err(format!("it has level {}, and a downgrade was not asked for", feature.level))
        }
        SAFE_DOWNGRADE | UNSAFE_DOWNGRADE if level > feature.level => {
            Err(format!("it has level {}, and a downgrade was asked for", feature.level))
        }
        UPGRADE | SAFE_DOWNGRADE | UNSAFE_DOWNGRADE if level == feature.level => Ok(()),
        UPGRADE | SAFE_DOWNGRADE | UNSAFE_DOWNGRADE => {
            Err(format!("this version of the broker runs it at level {} only", feature.level))
        }
        other => Err(format!("there is no upgrade of type {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Str;

    #[test]
    fn a_level_can_be_had_if_it_is_the_one_there_is() {
        const TABLE: &[Feature] = &[Feature { name: "a", min: 0, max: 3, level: 2 }];
        let update = |feature: &'static str, max_version_level, upgrade_type| FeatureUpdateKey {
            feature: Str::from_static(feature),
            max_version_level,
            upgrade_type,
            ..Default::default()
        };
        for (asked, said) in [
            (update("a", 2, UPGRADE), None),
            (update("a", 2, UNSAFE_DOWNGRADE), None),
            (update("b", 2, UPGRADE), Some("no such feature")),
            (update("a", 4, UPGRADE), Some("levels 0 to 3")),
            (update("a", -1, UPGRADE), Some("levels 0 to 3")),
            (update("a", 1, UPGRADE), Some("not asked for")),
            (update("a", 3, SAFE_DOWNGRADE), Some("was asked for")),
            (update("a", 3, UPGRADE), Some("at level 2 only")),
            (update("a", 0, SAFE_DOWNGRADE), Some("at level 2 only")),
            (update("a", 2, 0), Some("no upgrade of type 0")),
        ] {
            match (check(TABLE, &asked, 1), said) {
                (Ok(()), None) => {}
                (Err(why), Some(said)) => assert!(why.contains(said), "{asked:?}: {why}"),
                (outcome, _) => panic!("{asked:?}: {outcome:?}"),
            }
        }
        let old = FeatureUpdateKey { allow_downgrade: true, ..update("a", 1, UPGRADE) };
        assert!(check(TABLE, &old, 0).unwrap_err().contains("at level 2 only"));
    }
}
