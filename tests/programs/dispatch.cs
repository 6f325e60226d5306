// Virtual, interface, generic and delegate calls.
using System;
using System.Collections.Generic;

interface IShape { double Area(); string Name { get; } }
interface IScale { void Scale(double by); }
interface INamed<T> { string Tell(T value); }
interface IOut<out T> { T Get(); }
interface IIn<in T> { string Put(T value); }

abstract class Shape : IShape {
    public abstract double Area();
    public virtual string Name { get { return "shape"; } }
    public override string ToString() { return Name + " " + Area(); }
}
class Square : Shape, IScale {
    double side;
    public Square(double side) { this.side = side; }
    public override double Area() { return side * side; }
    public override string Name { get { return "square"; } }
    void IScale.Scale(double by) { side *= by; }
}
sealed class Tile : Square, IShape {
    public Tile() : base(3) { }
    public new string Name { get { return "tile"; } }
    string IShape.Name { get { return "interface tile"; } }
}
struct Dot : IShape, IScale {
    double size;
    public Dot(double size) { this.size = size; }
    public double Area() { return size; }
    public string Name { get { return "dot"; } }
    public void Scale(double by) { size *= by; }
    public override string ToString() { return "dot " + size; }
}
class Many : INamed<int>, INamed<string>, INamed<object> {
    public string Tell(int value) { return "int " + value; }
    public string Tell(string value) { return "string " + value; }
    public string Tell(object value) { return "object " + value; }
}
class Box<T> : IOut<T>, IIn<T> {
    T content;
    public static int Count;
    public Box(T content) { this.content = content; Count++; }
    public T Get() { return content; }
    public string Put(T value) { content = value; return typeof(T).Name + " " + value; }
    public virtual U Convert<U>(Func<T, U> how) { return how(content); }
}
class LoudBox<T> : Box<T> {
    public LoudBox(T content) : base(content) { }
    public override U Convert<U>(Func<T, U> how) { Console.Write("(" + typeof(U).Name + ") "); return base.Convert(how); }
}

static class Program {
    static string Describe<T>(T value) where T : IShape { return value.Name + "/" + value.ToString(); }
    static void Grow<T>(ref T value) where T : IScale { value.Scale(2); }
    static T Make<T>() where T : new() { return new T(); }
    static T Largest<T>(IEnumerable<T> items) where T : IComparable<T> {
        T best = default(T); bool any = false;
        foreach (T item in items) if (!any || item.CompareTo(best) > 0) { best = item; any = true; }
        return best;
    }
    static int Add(int a, int b) { return a + b; }
    delegate int Binary(int a, int b);
    delegate void Step(ref int value);

    static void Main() {
        IShape[] shapes = { new Square(2), new Tile(), new Dot(5) };
        foreach (IShape shape in shapes) {
            Console.WriteLine("{0} {1} {2}", shape.Name, shape.Area(), shape);
            IScale scale = shape as IScale;
            if (scale != null) { scale.Scale(2); Console.WriteLine("  scaled {0}", shape.Area()); }
        }
        Console.WriteLine(Describe(new Dot(1)) + " " + Describe(new Tile()) + " " + Describe<IShape>(new Square(1)));
        var dot = new Dot(4); Grow(ref dot); Console.WriteLine(dot);
        var square = new Square(1); Grow(ref square); Console.WriteLine(square.Area());
        var many = new Many();
        Console.WriteLine(((INamed<int>)many).Tell(1) + ", " + ((INamed<string>)many).Tell("s") + ", " + ((INamed<object>)many).Tell(2.5));
        IOut<object> covariant = new Box<string>("covariant");
        IIn<string> contravariant = new Box<object>(null);
        Console.WriteLine(covariant.Get() + " " + contravariant.Put("contra"));
        Console.WriteLine("{0} {1} {2}", Box<string>.Count, Box<object>.Count, Box<int>.Count);
        Box<string> loud = new LoudBox<string>("four");
        Console.WriteLine(loud.Convert(text => text.Length));
        Console.WriteLine(loud.Convert(text => text + "!"));
        Console.WriteLine(new LoudBox<int>(3).Convert(number => (long)number * 10000000000));
        Console.WriteLine(Largest(new[] { 3, 9, 2 }) + " " + Largest(new[] { "b", "z", "a" }) + " " + Largest(new List<double> { 1, 2.5 }));
        Console.WriteLine(Make<Many>().Tell(7) + " " + Make<Dot>());

        Binary binary = Add;
        binary += (a, b) => a * b;
        Console.WriteLine(binary(3, 4));
        int total = 0;
        Action<int> closure = n => total += n;
        for (int i = 0; i < 10; i++) closure(i);
        Console.WriteLine(total);
        Step step = delegate(ref int value) { value += 1; };
        step += delegate(ref int value) { value *= 10; };
        step += step;
        int number0 = 1; step(ref number0); Console.WriteLine(number0);
        step -= delegate(ref int value) { };
        Console.WriteLine(step.GetInvocationList().Length);
        Func<double> area = shapes[0].Area;
        Func<string> text0 = dot.ToString;
        Console.WriteLine(area() + " " + text0());
        Console.WriteLine(area == new Func<double>(shapes[0].Area));
        object boxed = dot;
        ((IScale)boxed).Scale(3);
        Console.WriteLine("{0} {1} {2}", boxed, dot, boxed is IShape);
        Console.WriteLine("{0} {1}", shapes is object[], (object)new int[1] is uint[]);
    }
}
