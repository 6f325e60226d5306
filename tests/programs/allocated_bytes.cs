// What a thread has allocated, to the byte: whatever is collected in between, and whatever other threads do.
using System;
using System.Threading;

class Empty { }
class Two { public object First, Second; }
class Four : Two { public object Third, Fourth; }

static class Program {
    static object kept;
    static object[] many = new object[1000];

    static long Allocate(int count, bool collects) {
        long words = 0;
        for (int i = 0; i < count; i++) {
            switch (i % 3) {
                case 0: kept = new Empty(); words += 2; break;
                case 1: kept = new Two(); words += 4; break;
                default: kept = new Four(); words += 6; break;
            }
            many[i % many.Length] = kept;
            if (collects && i % 10000 == 0) GC.Collect(0);
        }
        return words * IntPtr.Size;
    }

    static void Measure(int count, bool collects) {
        long before = GC.GetAllocatedBytesForCurrentThread();
        long expected = Allocate(count, collects);
        long measured = GC.GetAllocatedBytesForCurrentThread() - before;
        Console.WriteLine(measured == expected ? "as expected" : measured + " instead of " + expected);
    }

    static void Main() {
        Allocate(3, true);
        Measure(0, false);
        Measure(1, false);
        Measure(50000, true);
        var other = new Thread(() => Allocate(200000, false));
        other.Start();
        Measure(200000, false);
        other.Join();
    }
}
