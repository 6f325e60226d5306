// Shared and exact generic code, statics per instance, nested instances, constraints.
using System;
using System.Collections.Generic;
using System.Linq;

class Counter<T> {
    public static int Value;
    public static readonly string Name = typeof(T).Name;
    static Counter() { Console.WriteLine("first use of Counter<" + typeof(T).Name + ">"); }
    public static int Next() { return ++Value; }
}
class Node<TKey, TValue> where TKey : IComparable<TKey> {
    public TKey Key; public TValue Value; public Node<TKey, TValue> Left, Right;
}
class Tree<TKey, TValue> : IEnumerable<KeyValuePair<TKey, TValue>> where TKey : IComparable<TKey> {
    Node<TKey, TValue> root;
    public int Count { get; private set; }
    public void Add(TKey key, TValue value) {
        if (root == null) { root = new Node<TKey, TValue> { Key = key, Value = value }; Count++; return; }
        var node = root;
        while (true) {
            int order = key.CompareTo(node.Key);
            if (order == 0) { node.Value = value; return; }
            if (order < 0) { if (node.Left == null) { node.Left = new Node<TKey, TValue> { Key = key, Value = value }; Count++; return; } node = node.Left; }
            else { if (node.Right == null) { node.Right = new Node<TKey, TValue> { Key = key, Value = value }; Count++; return; } node = node.Right; }
        }
    }
    static IEnumerable<KeyValuePair<TKey, TValue>> Walk(Node<TKey, TValue> node) {
        if (node == null) yield break;
        foreach (var pair in Walk(node.Left)) yield return pair;
        yield return new KeyValuePair<TKey, TValue>(node.Key, node.Value);
        foreach (var pair in Walk(node.Right)) yield return pair;
    }
    public IEnumerator<KeyValuePair<TKey, TValue>> GetEnumerator() { return Walk(root).GetEnumerator(); }
    System.Collections.IEnumerator System.Collections.IEnumerable.GetEnumerator() { return GetEnumerator(); }
}
struct Pair<A, B> {
    public A First; public B Second;
    public Pair(A first, B second) { First = first; Second = second; }
    public Pair<B, A> Swap() { return new Pair<B, A>(Second, First); }
    public override string ToString() { return "(" + First + ", " + Second + ")"; }
}
class Base<T> { public virtual string Who(T value) { return "base " + typeof(T) + " " + value; } }
class Derived : Base<string> { public override string Who(string value) { return "derived " + base.Who(value); } }
class Derived<T> : Base<List<T>> { public override string Who(List<T> value) { return typeof(T).Name + " list of " + value.Count; } }

static class Program {
    static string TypeOf<T>(T value) { return typeof(T) + "/" + (value == null ? "null" : value.GetType().ToString()); }
    static T[] Repeat<T>(T value, int count) { var result = new T[count]; for (int i = 0; i < count; i++) result[i] = value; return result; }
    static bool Is<T>(object value) { return value is T; }
    static T As<T>(object value) where T : class { return value as T; }
    static T Default<T>() { return default(T); }
    static List<Pair<A, B>> Zip<A, B>(IEnumerable<A> left, IEnumerable<B> right) {
        var result = new List<Pair<A, B>>();
        using (var l = left.GetEnumerator()) using (var r = right.GetEnumerator())
            while (l.MoveNext() && r.MoveNext()) result.Add(new Pair<A, B>(l.Current, r.Current));
        return result;
    }
    static int Depth<T>(int levels) { return levels == 0 ? typeof(T).ToString().Length : Depth<Pair<T, string>>(levels - 1); }

    static void Main() {
        Console.WriteLine("{0} {1} {2}", Counter<int>.Next(), Counter<int>.Next(), Counter<string>.Next());
        Console.WriteLine("{0} {1} {2}", Counter<object>.Next(), Counter<string>.Next(), Counter<string>.Name);
        var tree = new Tree<string, int>();
        foreach (string word in "the quick brown fox jumps over the lazy dog".Split(' ')) tree.Add(word, word.Length);
        Console.WriteLine(tree.Count + ": " + string.Join(" ", tree.Select(pair => pair.Key + "=" + pair.Value)));
        var numbers = new Tree<int, double>();
        for (int i = 0; i < 20; i++) numbers.Add(i * 7 % 20, i / 2.0);
        Console.WriteLine(string.Join(" ", numbers.Where(pair => pair.Value > 5).Select(pair => pair.ToString())));
        Console.WriteLine(new Pair<int, string>(1, "one").Swap() + " " + new Pair<Pair<byte, long>, object>(new Pair<byte, long>(1, 2), "x").Swap());
        Console.WriteLine(TypeOf(1) + " " + TypeOf("s") + " " + TypeOf<object>(2L) + " " + TypeOf<string>(null) + " " + TypeOf(new List<int>()));
        Console.WriteLine(string.Join(",", Repeat("ab", 3)) + " " + string.Join(",", Repeat(1.5, 2)) + " " + Repeat(new Pair<int, int>(1, 2), 2)[1]);
        Console.WriteLine("{0} {1} {2} {3} {4}", Is<string>("x"), Is<int>("x"), Is<IComparable>(3), Is<List<string>>(new List<object>()), Is<IEnumerable<object>>(new List<string>()));
        Console.WriteLine("{0} {1} {2}", As<string>(1) == null, Default<int>(), Default<string>() == null);
        Console.WriteLine(string.Join(" ", Zip(new[] { 1, 2, 3 }, new[] { "a", "b" })));
        Console.WriteLine(Depth<int>(5));
        Console.WriteLine(new Derived().Who("x") + "; " + new Derived<double>().Who(new List<double> { 1, 2 }));
        var groups = Enumerable.Range(1, 20).GroupBy(n => n % 3).OrderByDescending(group => group.Sum());
        foreach (var group in groups) Console.WriteLine(group.Key + ": " + string.Join(" ", group));
        int? some = 5, none = null;
        Console.WriteLine("{0} {1} {2} {3}", some + 1, none + 1, some > none, (object)none == null);
        object boxed = some; Console.WriteLine(boxed.GetType() + " " + (int?)boxed + " " + none.GetValueOrDefault(9));
        var dictionary = new Dictionary<Pair<int, string>, List<int>>();
        for (int i = 0; i < 10; i++) {
            var key = new Pair<int, string>(i % 2, "k");
            List<int> list;
            if (!dictionary.TryGetValue(key, out list)) dictionary[key] = list = new List<int>();
            list.Add(i);
        }
        Console.WriteLine(string.Join(" | ", dictionary.Select(pair => pair.Key + ":" + string.Join(",", pair.Value))));
    }
}
