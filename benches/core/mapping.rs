//! What a preset adds to the time that an event takes until it can be stored.

use std::time::Instant;

use auditbox::model::{
    batch::{self, AfterError},
    event::{Receipt, Sender},
    limits::EventLimits,
    mapping::{MappedRecord, Mapping},
    mask::Mask,
    masked_event::MaskedEvent,
    timestamp::Timestamp,
};

/// A record of `CloudTrail` with 1.5 kB.
fn cloudtrail_record(number: usize) -> String {
    let arn = "arn:aws:sts::111122223333:assumed-role/deployment/session-of-a-pipeline";
    let session = "\"sessionContext\":{\"sessionIssuer\":{\"type\":\"Role\",\"principalId\":\"AROAEXAMPLE\",\"arn\":\"arn:aws:iam::111122223333:role/deployment\",\"accountId\":\"111122223333\",\"userName\":\"deployment\"},\"attributes\":{\"creationDate\":\"2026-01-02T03:00:00Z\",\"mfaAuthenticated\":\"false\"}}";
    format!(
        "{{\"eventVersion\":\"1.09\",\"userIdentity\":{{\"type\":\"AssumedRole\",\"principalId\":\"AROAEXAMPLE:session\",\"arn\":\"{arn}\",\"accountId\":\"111122223333\",\"accessKeyId\":\"ASIAEXAMPLE\",{session}}},\"eventTime\":\"2026-01-02T03:04:05Z\",\"eventSource\":\"ec2.amazonaws.com\",\"eventName\":\"RunInstances\",\"awsRegion\":\"eu-central-1\",\"sourceIPAddress\":\"203.0.113.7\",\"userAgent\":\"aws-cli/2.15.0 Python/3.11 Linux/6.1 source/x86_64\",\"requestParameters\":{{\"instancesSet\":{{\"items\":[{{\"imageId\":\"ami-0123456789abcdef0\",\"minCount\":1,\"maxCount\":1}}]}},\"instanceType\":\"t3.micro\",\"monitoring\":{{\"enabled\":false}},\"subnetId\":\"subnet-0123456789abcdef0\",\"disableApiTermination\":false}},\"responseElements\":{{\"instancesSet\":{{\"items\":[{{\"instanceId\":\"i-{number:017x}\",\"imageId\":\"ami-0123456789abcdef0\",\"instanceState\":{{\"code\":0,\"name\":\"pending\"}}}}]}}}},\"requestID\":\"{number:036x}\",\"eventID\":\"{number:036x}\",\"readOnly\":false,\"eventType\":\"AwsApiCall\",\"managementEvent\":true,\"recipientAccountId\":\"111122223333\",\"eventCategory\":\"Management\",\"tlsDetails\":{{\"tlsVersion\":\"TLSv1.3\",\"cipherSuite\":\"TLS_AES_128_GCM_SHA256\",\"clientProvidedHostHeader\":\"ec2.eu-central-1.amazonaws.com\"}}}}"
    )
}

/// What a preset adds to the time from the bytes of a record to an event that is ready to be stored. The event of the plain path
/// is the one that the preset makes.
pub(crate) fn measure() {
    // The best round counts: the others were interrupted.
    const ROUNDS: usize = 100;
    let (mapping, limits, mask) = (Mapping::named("cloudtrail").unwrap(), EventLimits::default(), Mask::default());
    let records: Vec<String> = (0..1_000).map(cloudtrail_record).collect();
    let map = |record: &str| {
        let records = mapping.records(record).unwrap();
        mapping.map(&records[0], &limits, &mask).unwrap()
    };
    let plain: Vec<String> = records.iter().map(|record| map(record).event().to_owned()).collect();
    let microseconds = |accept: &dyn Fn(usize) -> usize| {
        let round = || {
            let begun = Instant::now();
            let bytes: usize = (0..records.len()).map(accept).sum();
            (begun.elapsed().as_secs_f64() * 1e6 / records.len() as f64, bytes / records.len())
        };
        (0..ROUNDS).map(|_| round()).min_by(|one, other| one.0.total_cmp(&other.0)).unwrap()
    };
    let receipt = Receipt { at: Timestamp::now(), by: "bench" };
    let (without, bytes) = microseconds(&|index| {
        let mut events = batch::split(plain[index].as_bytes(), 1, AfterError::Stop).unwrap();
        let masked = MaskedEvent::new(events.remove(0).unwrap().get(), &limits, &mask).unwrap();
        masked.read(&limits, Sender::Client).unwrap().accept(&receipt).body.len()
    });
    let (with, _) = microseconds(&|index| {
        let mapped = map(&records[index]);
        let (limits, provenance) = (MappedRecord::limits(&limits), mapped.provenance("bench"));
        let masked = MaskedEvent::new(mapped.event(), &limits, &mask).unwrap();
        let draft = masked.read(&limits, Sender::Client).unwrap().with_mapping(&provenance);
        draft.accept(&receipt).body.len()
    });
    println!(
        "mapping a CloudTrail record of {} bytes: {:.1} us more than the event of {bytes} bytes alone ({without:.1} us)",
        records[0].len(),
        with - without
    );
}
