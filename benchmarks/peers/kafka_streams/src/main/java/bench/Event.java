package bench;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.time.Instant;
import java.time.OffsetDateTime;

/** What the job needs of an event, read by Jackson's streaming parser. */
final class Event {
    private static final JsonFactory FACTORY = new JsonFactory();

    String account = "";
    long atUs;
    String contact;
    String pageCategory = "";
    double dwellSeconds;
    String stage = "";
    String kind = "";
    boolean machineOpen;

    static Event read(byte[] value) throws IOException {
        Event event = new Event();
        try (JsonParser parser = FACTORY.createParser(value)) {
            parser.nextToken();
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String name = parser.currentName();
                parser.nextToken();
                event.take(name, parser);
            }
        }
        return event;
    }

    private void take(String name, JsonParser parser) throws IOException {
        switch (name) {
            case "account_id" -> account = parser.getText();
            case "occurred_at" -> atUs = microseconds(parser.getText());
            case "contact_id" -> contact = parser.getValueAsString();
            case "page_category" -> pageCategory = parser.getText();
            case "dwell_seconds" -> dwellSeconds = parser.getDoubleValue();
            case "stage" -> stage = parser.getText();
            case "kind" -> kind = parser.getText();
            case "machine_open" -> machineOpen = parser.getBooleanValue();
            default -> parser.skipChildren();
        }
    }

    private static long microseconds(String text) {
        Instant at = text.endsWith("Z") ? Instant.parse(text) : OffsetDateTime.parse(text).toInstant();
        return at.getEpochSecond() * 1_000_000 + at.getNano() / 1_000;
    }

    /** What the event counts as: a key of the job's weights. */
    String countsAs(String topic) {
        if (topic.endsWith("website-visits")) {
            return switch (pageCategory) {
                case "product" -> "visit_product";
                case "pricing" -> "visit_pricing";
                default -> "visit";
            };
        }
        if (topic.endsWith("content-downloads")) {
            return "download_" + stage;
        }
        return switch (kind) {
            case "opened" -> machineOpen ? "passive" : "email_opened";
            case "clicked" -> "email_clicked";
            case "replied" -> "email_replied";
            case "unsubscribed", "complained" -> "email_unsubscribed";
            default -> "passive";
        };
    }
}
