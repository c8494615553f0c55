//! Runs that keep to no strict window, no bucket or no number of permits, and some that do.

use super::Story;

/// `admitted` and `refused` are moments in milliseconds; everything takes 10 ms.
fn judge(promise: &str, admitted: &[u64], refused: &[u64]) -> Result<String, String> {
    let mut story = Story::default();
    admitted.iter().for_each(|at| story.ok(*at, "a"));
    refused.iter().for_each(|at| story.answered_here(*at, 429));
    story.judge(&format!("[[expect.no_over_admission]]\nclients = [\"c\"]\n{promise}"))
}

#[track_caller]
fn fails(result: Result<String, String>, words: &str) {
    let detail = result.expect_err("fails");
    assert!(detail.contains(words), "{detail}");
}

#[test]
fn strict_is_the_limit_in_any_interval() {
    let strict = "algorithm = \"strict\"\nrate = \"2/1s\"";
    // Sixteen sub-windows of 67 ms weigh in full.
    assert!(judge(strict, &[2000, 2900, 3070], &[2950, 3060]).is_ok());
    fails(judge(strict, &[2000, 2900, 2980], &[2990]), "3 requests admitted from 2.000");
    fails(judge(strict, &[2000, 2900], &[3100]), "c-1.3 (GET, sent at 3.100 s) was refused though");
    fails(judge(strict, &[2000, 2900], &[]), "not tried");
}

#[test]
fn a_bucket_is_burst_and_rate() {
    let bucket = "algorithm = \"token_bucket\"\nrate = \"2/1s\"\nburst = 3";
    assert!(judge(bucket, &[2000, 2001, 2002, 2600, 3100], &[2100, 2700]).is_ok());
    fails(judge(bucket, &[2000, 2001, 2002, 2100], &[2200]), "4 requests admitted from 2.000");
    fails(judge(bucket, &[2000, 2001, 2002, 2600, 2990], &[3100]), "more than 4");
    fails(judge(bucket, &[2000, 2001], &[2100]), "c-1.3 (GET, sent at 2.100 s) was refused though");
    fails(judge(bucket, &[2000, 2001, 2002], &[2700]), "was refused though");
}

#[test]
fn permits_are_as_many_at_any_moment() {
    let permits = "algorithm = \"concurrency\"\nmax = 2";
    assert!(judge(permits, &[2000, 2000, 2010], &[2005]).is_ok());
    fails(judge(permits, &[2000, 2000, 2000], &[2005]), "3 requests were with backends at 2.000");
    fails(
        judge(permits, &[2000, 2000], &[2200]),
        "c-1.3 (GET, sent at 2.200 s) was refused though",
    );
    // Whom the crash of the gateway took the permit from holds none.
    let crashed = "[[event]]\nat = \"2000ms\"\nkind = \"crash\"\nhost = \"gateway\"\nfor = \"1ms\"";
    let permits = format!("{permits}\n{crashed}");
    assert!(judge(&permits, &[2000, 2000, 2000], &[2005]).is_ok());
}
