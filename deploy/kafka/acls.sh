#!/bin/sh
# Least privilege on Kafka, for brokers with an authorizer that denies what is not allowed. Printed
# by `stream-app topics acls`, which takes topic prefix and group from the settings. Run it with a
# KAFKA_ACLS that reaches your brokers as somebody who may alter the list, for example
#
#   KAFKA_ACLS="kafka-acls.sh --bootstrap-server kafka:9093 --command-config admin.properties"
set -eu

allow() {
    user=$1
    shift
    ${KAFKA_ACLS:-kafka-acls.sh --bootstrap-server localhost:9092} \
        --add --force --allow-principal "User:$user" "$@"
}

# stream-app-worker: `stream-app worker`, the trainer in it included.
allow stream-app-worker --operation Read --resource-pattern-type literal --topic website-visits \
    --topic content-downloads --topic email-events --topic engagement --topic account-control \
    --topic account-features
allow stream-app-worker --operation Write --resource-pattern-type literal --topic engagement \
    --topic account-control --topic account-features --topic segment-changes --topic intent-spikes \
    --topic account-segments --topic segment-models --topic dead-letters
allow stream-app-worker --operation Read --resource-pattern-type literal --group stream-app \
    --group stream-app-trainer

# stream-app-producer: Whoever sends events, and `stream-app traffic`.
allow stream-app-producer --operation Write --resource-pattern-type literal --topic \
    website-visits --topic content-downloads --topic email-events

# stream-app-consumer: Whoever acts on segments: reads what is published, but no dead letters,
# which hold what producers sent.
allow stream-app-consumer --operation Read --resource-pattern-type literal --topic \
    segment-changes --topic intent-spikes --topic account-segments --topic segment-models
allow stream-app-consumer --operation Read --resource-pattern-type prefixed --group \
    stream-app-consumer

# stream-app-operator: Whoever looks after dead letters, puts them back where they came from,
# asks for erasure, reconciles, makes reports, and decides which model is in use.
allow stream-app-operator --operation Write --resource-pattern-type literal --topic \
    website-visits --topic content-downloads --topic email-events --topic engagement --topic \
    account-control --topic segment-models
allow stream-app-operator --operation Read --resource-pattern-type literal --topic \
    segment-changes --topic intent-spikes --topic account-segments --topic segment-models --topic \
    dead-letters
allow stream-app-operator --operation Read --resource-pattern-type prefixed --group \
    stream-app-operator

# stream-app-tools: `stream-app doctor` and `stream-app topics list`: sees names, ends and
# groups, no record.
allow stream-app-tools --operation Describe --resource-pattern-type literal --topic \
    website-visits --topic content-downloads --topic email-events --topic engagement --topic \
    account-control --topic account-features --topic segment-changes --topic intent-spikes --topic \
    account-segments --topic segment-models --topic dead-letters
allow stream-app-tools --operation Describe --resource-pattern-type literal --group stream-app \
    --group stream-app-trainer

# stream-app-admin: `stream-app topics create` and `grow`.
allow stream-app-admin --operation Create --resource-pattern-type literal --topic website-visits \
    --topic content-downloads --topic email-events --topic engagement --topic account-control \
    --topic account-features --topic segment-changes --topic intent-spikes --topic account-segments \
    --topic segment-models --topic dead-letters
allow stream-app-admin --operation Describe --resource-pattern-type literal --topic \
    website-visits --topic content-downloads --topic email-events --topic engagement --topic \
    account-control --topic account-features --topic segment-changes --topic intent-spikes --topic \
    account-segments --topic segment-models --topic dead-letters
allow stream-app-admin --operation Alter --resource-pattern-type literal --topic website-visits \
    --topic content-downloads --topic email-events --topic engagement --topic account-control
