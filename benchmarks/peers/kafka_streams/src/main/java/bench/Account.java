package bench;

import java.nio.ByteBuffer;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;

/** All that is kept of an account. Sums refer to the start of a 28-day period. */
final class Account {
    static final int BUCKETS = 64;

    long referenceUs;
    long latestUs;
    /** 0: never. */
    long engagedUs;
    /** 0: none yet. */
    int segment;
    double[] sums;
    /** UTC day when a contact of each bucket was last seen, 0: never. */
    final char[] days = new char[BUCKETS];

    Account(int features) {
        sums = new double[features];
    }

    static Serde<Account> serde(int features) {
        Serializer<Account> serializer = (topic, account) -> account == null ? null : account.pack();
        Deserializer<Account> deserializer = (topic, data) -> data == null ? null : unpack(data, features);
        return Serdes.serdeFrom(serializer, deserializer);
    }

    private byte[] pack() {
        ByteBuffer buffer = ByteBuffer.allocate(28 + 8 * sums.length + 2 * BUCKETS);
        buffer.putLong(referenceUs).putLong(latestUs).putLong(engagedUs).putInt(segment);
        for (double sum : sums) {
            buffer.putDouble(sum);
        }
        for (char day : days) {
            buffer.putChar(day);
        }
        return buffer.array();
    }

    private static Account unpack(byte[] data, int features) {
        ByteBuffer buffer = ByteBuffer.wrap(data);
        Account account = new Account(features);
        account.referenceUs = buffer.getLong();
        account.latestUs = buffer.getLong();
        account.engagedUs = buffer.getLong();
        account.segment = buffer.getInt();
        for (int i = 0; i < features; i++) {
            account.sums[i] = buffer.getDouble();
        }
        for (int i = 0; i < BUCKETS; i++) {
            account.days[i] = buffer.getChar();
        }
        return account;
    }
}
