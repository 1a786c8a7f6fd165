//! What is rendered, to be reviewed as text: `INSTA_UPDATE=always` writes the files anew.

use dragonfly_testkit::helm::Version;

use crate::{CASES, helm};

#[test]
fn what_is_rendered_is_as_reviewed() {
    let helm = helm(Version::V4);
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for case in CASES {
            insta::assert_snapshot!(case.name, case.rendered(&helm).unwrap());
        }
    });
}
