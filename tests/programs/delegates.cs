// All kinds of delegates, and what is easily lost on the way: results in memory, boxed targets, exceptions of asynchronous calls.
using System;
using System.Runtime.CompilerServices;

struct Five {
    public int A, B, C, D, E;
    public Five(int first) { A = first; B = first + 1; C = first + 2; D = first + 3; E = first + 4; }
    public int Sum() { return A + B + C + D + E; }
    public Five Times(int factor) { return new Five(A * factor); }
    public override string ToString() { return "Five " + A + ".." + E; }
}

class Base {
    public virtual string Name(int number) { return "Base " + number; }
    public Five Make(int number) { return new Five(number); }
    public static Five MakeStatic(int number) { return new Five(number + 100); }
}

class Derived : Base {
    public override string Name(int number) { return "Derived " + number; }
}

delegate Five OpenMake(Base target, int number);
delegate string OpenName(Base target, int number);
delegate int OpenSum(ref Five target);
delegate Five OpenTimes(ref Five target, int factor);
delegate int Swap(ref int value, int other);
delegate Five Make(int number);

static class Extensions {
    public static Five MakeFrom(this string text, int number) { return new Five(text.Length + number); }
}

enum Color { Red, Green }

static class Program {
    static T Create<T>(Type type, string method) where T : class {
        return (T)(object)Delegate.CreateDelegate(typeof(T), type.GetMethod(method));
    }

    static void Open() {
        Five five = new Five(3);
        Console.WriteLine(Create<OpenMake>(typeof(Base), "Make")(new Derived(), 5));
        OpenName name = Create<OpenName>(typeof(Base), "Name");
        Console.WriteLine("{0}, {1}", name(new Derived(), 1), name(new Base(), 2));
        Console.WriteLine(Create<OpenSum>(typeof(Five), "Sum")(ref five));
        Console.WriteLine(Create<OpenTimes>(typeof(Five), "Times")(ref five, 4));
        Console.WriteLine(Create<Make>(typeof(Base), "MakeStatic")(7));
    }

    static void Closed() {
        Five five = new Five(3);
        Make make = five.Times;
        make += new Derived().Make;
        make += "text".MakeFrom;
        make += Base.MakeStatic;
        foreach (Make one in make.GetInvocationList()) Console.WriteLine(one(2));
        Console.WriteLine(make(9));
        Func<int, string> name = new Derived().Name;
        Console.WriteLine(name(4));
    }

    static void Asynchronous() {
        Swap swap = delegate(ref int value, int other) { int old = value; value = other; return old; };
        int variable = 1;
        IAsyncResult call = swap.BeginInvoke(ref variable, 2, null, null);
        int result = swap.EndInvoke(ref variable, call);
        Console.WriteLine("{0} {1}", result, variable);
        Make make = new Base().Make;
        Console.WriteLine(make.EndInvoke(make.BeginInvoke(6, null, null)));
        Action fail = () => { throw new InvalidOperationException("asynchronous"); };
        try {
            fail.EndInvoke(fail.BeginInvoke(null, null));
        } catch (InvalidOperationException e) {
            Console.WriteLine(e.Message);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    static void Fail() { throw new FormatException("first"); }

    // A handler within a handler must not lose the exception that is thrown again.
    static void Rethrow() {
        try {
            try {
                Fail();
            } catch (FormatException) {
                try {
                    throw new DivideByZeroException();
                } catch (DivideByZeroException) {
                }
                throw;
            }
        } catch (Exception e) {
            Console.WriteLine("{0} {1}", e.Message, e.StackTrace.Contains("Fail"));
        }
    }

    static void Casts() {
        object[,] none = null;
        try {
            none[0, 0] = new object();
        } catch (NullReferenceException e) {
            Console.WriteLine(e.GetType());
        }
        object number = 1;
        try {
            Console.WriteLine((Color?)number);
        } catch (InvalidCastException e) {
            Console.WriteLine(e.Message);
        }
        object numbers = new long[1], pointers = new IntPtr[1];
        Console.WriteLine("{0} {1}", numbers is IntPtr[] == (IntPtr.Size == 8), pointers is uint[] == (IntPtr.Size == 4));
    }

    static void Main() {
        Open();
        Closed();
        Asynchronous();
        Rethrow();
        Casts();
    }
}
