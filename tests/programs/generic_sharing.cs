// Code shared by instantiations over references makes classes from its class's arguments and from its method's own exact ones.
using System;
using System.Collections.Generic;
using System.Linq;

abstract class Source<T> {
    public abstract Source<R> Map<R>(Func<T, R> map);
    public abstract T Take();
}

sealed class One<T> : Source<T> {
    readonly T value;
    public One(T value) { this.value = value; }
    public override Source<R> Map<R>(Func<T, R> map) { return new Mapped<T, R>(this, map); }
    public override T Take() { return value; }
}

sealed class Mapped<T, R> : Source<R> {
    readonly Source<T> source;
    readonly Func<T, R> map;
    public Mapped(Source<T> source, Func<T, R> map) { this.source = source; this.map = map; }
    public override Source<Q> Map<Q>(Func<R, Q> next) { return new Mapped<R, Q>(this, next); }
    public override R Take() { return map(source.Take()); }
}

interface IAdder<T> {
    int Add(int n);
    T Last { get; }
}

interface IGeneric { int Count<T>(T x); }

// Several instances of one interface, which shared code cannot tell apart.
struct Adder<T> : IAdder<List<T>>, IAdder<T[]>, IAdder<int>, IGeneric {
    int sum;
    public int Add(int n) { return sum += n; }
    int IAdder<T[]>.Add(int n) { return sum += 10 * n; }
    int IAdder<int>.Add(int n) { return sum += 100 * n; }
    List<T> IAdder<List<T>>.Last { get { return new List<T>(); } }
    T[] IAdder<T[]>.Last { get { return new T[sum]; } }
    int IAdder<int>.Last { get { return sum; } }
    public int Count<U>(U x) { Console.WriteLine(typeof(T) + " " + typeof(U)); return ++sum; }
}

static class Program {
    static void Twice<T, U>(T adder) where T : IAdder<U> {
        adder.Add(1);
        Console.WriteLine(adder.Add(2));
        Console.WriteLine(adder.Last);
    }
    static int Count<T, U>(T counter, U x) where T : IGeneric {
        counter.Count(x);
        counter.Count("x");
        counter.Count(new List<U>());
        return counter.Count(3);
    }
    static void Constrained() {
        Twice<Adder<string>, List<string>>(new Adder<string>());
        Twice<Adder<string>, string[]>(new Adder<string>());
        Twice<Adder<string>, int>(new Adder<string>());
        Twice<Adder<int>, int[]>(new Adder<int>());
        Console.WriteLine(Count(new Adder<string>(), new object()));
        Console.WriteLine(Count(new Adder<int>(), 5));
        Console.WriteLine(Count(new Adder<int>(), ""));
    }

    static void Show<T>(Source<T> source) { Console.WriteLine("{0}: {1}", source.GetType(), source.Take()); }

    static void Main() {
        Source<string> text = new One<string>("four");
        Show(text.Map(s => s.Length));
        Show(text.Map(s => s.Length / 8.0));
        Show(text.Map(s => s + "!").Map(s => s.Length).Map(n => (long)n << 33).Map(n => n.ToString()));
        var words = new[] { "one", "three", "five", "seven" };
        Console.WriteLine(words.Where(w => w.Length > 3).Select(w => w.Length * 0.5).Sum());
        Console.WriteLine(words.Skip(1).Select(w => (byte)w[0]).Last());
        Console.WriteLine(words.GroupBy(w => w.Length).Select(g => new { g.Key, N = g.Sum(w => w[0]) }).First());
        IList<object> covariant = new object[] { 1, "two" };
        covariant[1] = covariant[0];
        Console.WriteLine(covariant[1]);
        Constrained();
    }
}
