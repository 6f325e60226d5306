// Arrays of all shapes, bounds, covariance, sorting and copying.
using System;
using System.Collections.Generic;
using System.Linq;

static class Program {
    static int Sum(int[] values) { int sum = 0; for (int i = 0; i < values.Length; i++) sum += values[i]; return sum; }
    static long Grid(int rows, int columns) { var grid = new long[rows, columns]; for (int i = 0; i < rows; i++) for (int j = 0; j < columns; j++) grid[i, j] = i * j; long sum = 0; foreach (long value in grid) sum += value; return sum + grid.GetLength(0) * 1000 + grid.GetUpperBound(1); }
    static string Fail(Action action) { try { action(); return "no exception"; } catch (Exception error) { return error.GetType().Name; } }
    static ref int Find(int[] values, int wanted) { for (int i = 0; i < values.Length; i++) if (values[i] == wanted) return ref values[i]; throw new KeyNotFoundException(); }

    static void Main() {
        Console.WriteLine(Sum(Enumerable.Range(1, 100).ToArray()) + " " + Grid(4, 5));
        var jagged = new int[3][]; for (int i = 0; i < 3; i++) { jagged[i] = new int[i + 1]; jagged[i][i] = i * 10; }
        Console.WriteLine(string.Join(";", jagged.Select(row => string.Join(",", row))));
        var cube = new byte[2, 3, 4]; cube[1, 2, 3] = 255; cube[0, 0, 0] = 1; Console.WriteLine(cube.Length + " " + cube.Rank + " " + cube[1, 2, 3] + " " + cube.Cast<byte>().Sum(b => b));
        int[] five = { 5, 3, 9, 1, 7 };
        Console.WriteLine(Fail(() => five[5] = 1) + " " + Fail(() => five[-1] = 1) + " " + Fail(() => cube[2, 0, 0] = 1) + " " + Fail(() => { object[] o = new string[2]; o[0] = new object(); }) + " " + Fail(() => { int[] none = null; none[0] = 1; }));
        Array.Sort(five); Console.WriteLine(string.Join(" ", five) + " " + Array.BinarySearch(five, 7) + " " + Array.IndexOf(five, 9));
        var names = new[] { "c", "a", "b" }; var keys = new[] { 3, 1, 2 }; Array.Sort(keys, names); Console.WriteLine(string.Join("", names));
        Array.Reverse(five); Array.Resize(ref five, 7); Console.WriteLine(string.Join(" ", five));
        var copy = (int[])five.Clone(); Array.Clear(copy, 1, 2); Array.Copy(five, 0, copy, 3, 3); Console.WriteLine(string.Join(" ", copy));
        Buffer.BlockCopy(five, 4, copy, 0, 8); Console.WriteLine(string.Join(" ", copy));
        object[] objects = names; Console.WriteLine(objects.GetType() + " " + (objects is string[]) + " " + (objects[1] as string));
        IList<int> list = five; Console.WriteLine(list.Count + " " + list[0] + " " + list.Contains(9) + " " + Fail(() => list.Add(1)));
        foreach (IEnumerable<object> items in new object[] { names, new List<object> { 1, "x" } }) Console.Write(string.Join(",", items) + " ");
        Console.WriteLine();
        Find(five, 9) = 90; Console.WriteLine(five[0]);
        var bounds = Array.CreateInstance(typeof(int), new[] { 2, 2 }, new[] { 5, -1 }); bounds.SetValue(42, 6, 0); Console.WriteLine(bounds.GetValue(6, 0) + " " + bounds.GetLowerBound(0) + " " + bounds.GetUpperBound(1) + " " + Fail(() => bounds.GetValue(0, 0)));
        var sieve = new bool[1000]; int primes = 0; for (int i = 2; i < sieve.Length; i++) { if (sieve[i]) continue; primes++; for (int j = i * i; j < sieve.Length; j += i) sieve[j] = true; } Console.WriteLine(primes);
        var random = new Random(42); var many = Enumerable.Range(0, 2000).Select(_ => random.Next(100000)).ToArray(); var sorted = many.OrderBy(n => n).ToArray(); Array.Sort(many); Console.WriteLine(many.SequenceEqual(sorted) + " " + many[0] + " " + many[1999]);
        char[] chars = "hello".ToCharArray(); Array.Reverse(chars); Console.WriteLine(new string(chars) + " " + chars.Length);
        float[] floats = { 1.5f, 2.5f }; double[] doubles = Array.ConvertAll(floats, f => (double)f); Console.WriteLine(doubles.Sum());
        var queue = new Queue<int>(); var stack = new Stack<int>(); for (int i = 0; i < 5; i++) { queue.Enqueue(i); stack.Push(i); } Console.WriteLine(queue.Dequeue() + " " + stack.Pop() + " " + string.Join("", queue) + string.Join("", stack));
        var set = new HashSet<string>(names); set.UnionWith(new[] { "z", "a" }); Console.WriteLine(set.Count + " " + set.Contains("z"));
        unsafe { int local = 5; int* pointer = &local; *pointer += 2; byte* bytes = stackalloc byte[16]; for (int i = 0; i < 16; i++) bytes[i] = (byte)i; fixed (int* first = five) { first[1] = local + bytes[15]; } Console.WriteLine(five[1]); }
    }
}
