// Generic code that asks whether a value is null makes no object for that.
using System;
using System.Collections.Generic;

class Program
{
    struct Pair { public int A; public string B; }

    static bool IsNull<T>(T value) { return value == null; }
    static int Count<T>(T value) { int count = 0; if (value != null) count++; while (value == null) { count--; break; } return count; }
    static string Which<T>(T value) { return value == null ? "null" : "value"; }

    static void Main()
    {
        Console.WriteLine(IsNull(1) + " " + IsNull("x") + " " + IsNull<string>(null) + " " + IsNull<int?>(null) + " " + IsNull<int?>(3) + " " + IsNull(new Pair()) + " " + IsNull(DayOfWeek.Monday));
        Console.WriteLine(Count(1) + " " + Count("x") + " " + Count<string>(null) + " " + Count<int?>(null) + " " + Count<long?>(3) + " " + Count(new Pair()));
        Console.WriteLine(Which(2.5) + " " + Which<object>(null) + " " + Which<Pair?>(null) + " " + Which('x'));
        var numbers = new Dictionary<int, int>();
        for (int i = 0; i < 100; i++) numbers[i] = i;
        Which(0L);
        long before = GC.GetAllocatedBytesForCurrentThread();
        int sum = 0;
        for (int i = 0; i < 10000; i++) {
            numbers[i % 100] = i;
            sum += Which((long)i).Length + Count(new Pair());
        }
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Console.WriteLine(sum + " " + (allocated < 10000));
    }
}
