package bench;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.zip.CRC32;

/** The job's numbers, prepared, and what one event does to an account. */
final class Job {
    private static final long DAY_US = 86_400_000_000L;
    private static final long PERIOD_US = 28 * DAY_US;
    private static final double MAX_SILENCE_DAYS = 182;
    private static final double MAX_DWELL_MINUTES = 60;

    final int features;
    private final int[] halfLifeDays;
    private final boolean[] dwell;
    private final Map<String, double[]> weights = new HashMap<>();
    private final String[] dimensions;
    private final int[][] addends;
    private final double[] mean;
    private final double[] scale;
    private final int[] ids;
    private final double[][] centres;
    private final double keeps;
    private final double[] free = new double[Account.BUCKETS + 1];

    Job(String file) throws IOException {
        JsonNode job = new ObjectMapper().readTree(new File(file));
        features = job.get("features").size();
        halfLifeDays = new int[features];
        dwell = new boolean[features];
        for (int i = 0; i < features; i++) {
            halfLifeDays[i] = job.get("features").get(i).get("half_life_days").asInt();
            dwell[i] = job.get("features").get(i).get("dwell").asBoolean();
        }
        job.get("weights").fields().forEachRemaining(e -> weights.put(e.getKey(), doubles(e.getValue())));
        JsonNode vector = job.get("dimensions");
        dimensions = new String[vector.size()];
        addends = new int[vector.size()][];
        for (int j = 0; j < vector.size(); j++) {
            dimensions[j] = vector.get(j).get("name").asText();
            double[] sums = doubles(vector.get(j).get("sums"));
            addends[j] = new int[sums.length];
            for (int i = 0; i < sums.length; i++) {
                addends[j][i] = (int) sums[i];
            }
        }
        mean = doubles(job.get("mean"));
        scale = doubles(job.get("scale"));
        JsonNode segments = job.get("segments");
        ids = new int[segments.size()];
        centres = new double[segments.size()][];
        for (int k = 0; k < segments.size(); k++) {
            ids[k] = segments.get(k).get("id").asInt();
            centres[k] = doubles(segments.get(k).get("centre"));
        }
        keeps = 1 - job.get("margin").asDouble();
        for (int i = 0; i < free.length; i++) {
            free[i] = -Account.BUCKETS * Math.log(Math.max(i, 0.5) / Account.BUCKETS);
        }
    }

    /** Applies an event. Returns the segment before it; the account's own says the one after it. */
    int apply(Account account, String topic, Event event) {
        long atUs = event.atUs;
        if (account.latestUs == 0) {
            account.referenceUs = atUs - atUs % PERIOD_US;
            account.latestUs = atUs;
        } else if (atUs > account.latestUs) {
            account.latestUs = atUs;
            moveReference(account, atUs - atUs % PERIOD_US);
        }
        add(account, event.countsAs(topic), event);
        int previous = account.segment;
        account.segment = decide(account);
        return previous;
    }

    private void moveReference(Account account, long referenceUs) {
        if (referenceUs == account.referenceUs) {
            return;
        }
        double days = (double) (account.referenceUs - referenceUs) / DAY_US;
        for (int i = 0; i < features; i++) {
            account.sums[i] *= Math.pow(2, days / halfLifeDays[i]);
        }
        account.referenceUs = referenceUs;
    }

    private void add(Account account, String kind, Event event) {
        if (kind.equals("passive")) {
            return;
        }
        double age = (double) (event.atUs - account.referenceUs) / DAY_US;
        double day = Math.pow(2, age);
        double week = Math.pow(2, age / 7);
        double month = Math.pow(2, age / 28);
        double minutes = Math.min(event.dwellSeconds / 60, MAX_DWELL_MINUTES);
        double[] added = weights.get(kind);
        for (int i = 0; i < features; i++) {
            double amount = dwell[i] ? minutes : added[i];
            if (amount != 0) {
                account.sums[i] += amount * (halfLifeDays[i] == 1 ? day : halfLifeDays[i] == 7 ? week : month);
            }
        }
        account.engagedUs = Math.max(account.engagedUs, event.atUs);
        if (event.contact != null && !event.contact.isEmpty()) {
            int bucket = bucket(event.contact);
            account.days[bucket] = (char) Math.max(account.days[bucket], event.atUs / DAY_US);
        }
    }

    private int decide(Account account) {
        double age = (double) (account.referenceUs - account.latestUs) / DAY_US;
        double week = Math.pow(2, age / 7);
        double month = Math.pow(2, age / 28);
        double[] vector = new double[dimensions.length];
        for (int j = 0; j < vector.length; j++) {
            vector[j] = (Math.log1p(value(account, j, week, month)) - mean[j]) / scale[j];
        }
        double least = Double.POSITIVE_INFINITY;
        double own = Double.POSITIVE_INFINITY;
        int nearest = 0;
        for (int k = 0; k < ids.length; k++) {
            double squares = 0;
            for (int j = 0; j < vector.length; j++) {
                double difference = vector[j] - centres[k][j];
                squares += difference * difference;
            }
            double distance = Math.sqrt(squares);
            if (distance < least) {
                least = distance;
                nearest = ids[k];
            }
            if (ids[k] == account.segment) {
                own = distance;
            }
        }
        return account.segment != 0 && !(least < keeps * own) ? account.segment : nearest;
    }

    private double value(Account account, int dimension, double week, double month) {
        if (dimensions[dimension].equals("contacts_28d")) {
            long limit = account.latestUs / DAY_US - 28;
            int unused = 0;
            for (char day : account.days) {
                unused += day <= limit ? 1 : 0;
            }
            return free[unused];
        }
        if (dimensions[dimension].equals("silence_days")) {
            double silence = (double) (account.latestUs - account.engagedUs) / DAY_US;
            return account.engagedUs == 0 ? MAX_SILENCE_DAYS : Math.min(silence, MAX_SILENCE_DAYS);
        }
        double total = 0;
        for (int i : addends[dimension]) {
            total += account.sums[i] * (halfLifeDays[i] == 7 ? week : month);
        }
        return total;
    }

    private static int bucket(String contact) {
        CRC32 crc = new CRC32();
        crc.update(contact.getBytes(StandardCharsets.UTF_8));
        int h = (int) crc.getValue();
        h = h == 0 ? 1 : h;
        h ^= h >>> 16;
        h *= 0x85EBCA6B;
        h ^= h >>> 13;
        h *= 0xC2B2AE35;
        return (h ^ h >>> 16) & 63;
    }

    private static double[] doubles(JsonNode node) {
        double[] values = new double[node.size()];
        for (int i = 0; i < values.length; i++) {
            values[i] = node.get(i).asDouble();
        }
        return values;
    }
}
