// Native code that calls back, while others collect and while the callbacks themselves do; arguments that are copied, pinned and given back.
using System;
using System.Runtime.InteropServices;
using System.Text;

static class Program
{
    delegate int Compare (IntPtr left, IntPtr right);

    [DllImport ("libc.so.6")]
    static extern void qsort (int[] numbers, IntPtr count, IntPtr size, Compare compare);
    [DllImport ("libc.so.6")]
    static extern IntPtr bsearch (ref int key, int[] numbers, IntPtr count, IntPtr size, Compare compare);
    [DllImport ("libc.so.6")]
    static extern IntPtr strlen (string text);
    [DllImport ("libc.so.6")]
    static extern IntPtr strcpy (StringBuilder target, string text);
    [DllImport ("libc.so.6")]
    static extern IntPtr memcpy (byte[] target, byte[] source, IntPtr size);

    [DllImport ("libc.so.6")]
    static extern int usleep (uint microseconds);

    static void Sort (Random random, int depth)
    {
        int calls = 0;
        var kept = new object [] { random.Next () };
        var before = (int) kept [0];
        Compare compare = (left, right) => {
            calls++;
            if (calls % 40 == 0)
                GC.KeepAlive (new byte [random.Next (3000)]);
            if (calls == 50 && random.Next (4) == 0)
                GC.Collect (0);
            if (calls == 30 && depth > 0)
                Sort (random, depth - 1);
            Stress.Check ((int) kept [0] == before, "what a callback captured");
            return Marshal.ReadInt32 (left).CompareTo (Marshal.ReadInt32 (right));
        };
        var numbers = new int [random.Next (2, 100)];
        for (int i = 0; i < numbers.Length; i++)
            numbers [i] = random.Next ();
        qsort (numbers, (IntPtr) numbers.Length, (IntPtr) 4, compare);
        for (int i = 1; i < numbers.Length; i++)
            Stress.Check (numbers [i - 1] <= numbers [i], "the order");
        int key = numbers [numbers.Length / 2];
        Stress.Check (bsearch (ref key, numbers, (IntPtr) numbers.Length, (IntPtr) 4, compare) != IntPtr.Zero, "a search");
    }

    static void Copies (Random random)
    {
        string text = new string ((char) ('a' + random.Next (26)), random.Next (200));
        Stress.Check ((int) strlen (text) == text.Length, "the length of a string");
        var builder = new StringBuilder (300);
        strcpy (builder, text);
        Stress.Check (builder.ToString () == text, "the copy of a string");
        var source = new byte [random.Next (1, 20000)];
        random.NextBytes (source);
        var target = new byte [source.Length];
        memcpy (target, source, (IntPtr) source.Length);
        for (int i = 0; i < source.Length; i++)
            Stress.Check (source [i] == target [i], "the copy of an array");
        usleep ((uint) random.Next (200));
    }

    public static void Round (int round)
    {
        Stress.ParallelWithCollections (round, (random, number) => {
            for (int i = 0; i < 30; i++) {
                Sort (random, random.Next (3));
                Copies (random);
            }
        });
    }
}
