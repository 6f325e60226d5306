// Structures by value to and from native functions: all the ways in which they share registers and stack with what is around them.
using System;
using System.Runtime.InteropServices;

struct Singles2 { public float a, b; }
struct Singles4 { public float a, b, c, d; }
struct Doubles2 { public double a, b; }
struct Doubles4 { public double a, b, c, d; }
struct Mixed { public int a; public float b; }
struct Empty { }
struct Words5 { public int a, b, c, d, e; }
struct Long { public long a; public int b; }
struct Longs2 { public long a, b; }
struct Bytes3 { public byte a, b, c; }
struct Word { public int a; }
unsafe struct Narrow { public fixed char text[5]; public char last; }
[StructLayout(LayoutKind.Sequential, CharSet = CharSet.Unicode)]
unsafe struct Wide { public fixed char text[5]; public char last; }

static class Program
{
    const string Library = "native_structures";

    [DllImport(Library)] static extern double gaps(float a, double b, Singles2 c, float d, double e, float f);
    [DllImport(Library)] static extern double doubles_at_the_end(double a, double b, double c, double d, double e, double f, Doubles4 g, double h, float i);
    [DllImport(Library)] static extern double two_doubles_at_the_end(double a, double b, double c, double d, double e, double f, double g, Doubles2 h, double i);
    [DllImport(Library)] static extern double singles_at_the_end(float a, Doubles4 b, Doubles2 c, float d, Singles4 e, float f, double g);
    [DllImport(Library)] static extern double split(int a, int b, int c, Words5 d, int e);
    [DllImport(Library)] static extern double not_split(double a, double b, double c, double d, double e, double f, double g, double h, double i, int j, Words5 k, int l);
    [DllImport(Library)] static extern double aligned(int a, Long b, int c);
    [DllImport(Library)] static extern double aligned_on_stack(int a, int b, int c, Long d, int e, long f);
    [DllImport(Library)] static extern double whole(int a, int b, int c, int d, int e, Longs2 f, int g);
    [DllImport(Library)] static extern double small(Bytes3 a, Mixed b, Word c, Bytes3 d);
    [DllImport(Library)] static extern Singles2 give_singles2(float a);
    [DllImport(Library)] static extern Singles4 give_singles4(float a);
    [DllImport(Library)] static extern Doubles2 give_doubles2(double a);
    [DllImport(Library)] static extern Doubles4 give_doubles4(double a);
    [DllImport(Library)] static extern Mixed give_mixed(int a);
    [DllImport(Library)] static extern Words5 give_words(int a);
    [DllImport(Library)] static extern Long give_long(long a);
    [DllImport(Library)] static extern Longs2 give_longs(long a);
    [DllImport(Library)] static extern Bytes3 give_bytes(int a);
    [DllImport(Library)] static extern Word give_word(int a);
    [DllImport(Library)] static extern Empty give_empty(int a, out int seen);
    [DllImport(Library)] static extern int take_empty(int a, Empty none, int b);
    [DllImport(Library)] static extern int narrow(ref Narrow a);
    [DllImport(Library)] static extern int wide(ref Wide a);

    static unsafe void FixedBuffers()
    {
        var a = new Narrow { last = 'z' };
        var b = new Wide { last = 'z' };
        a.text[0] = b.text[0] = 'a';
        a.text[4] = b.text[4] = 'e';
        Console.WriteLine("fixed buffers {0} {1}", narrow(ref a), wide(ref b));
        Console.WriteLine("{0}{1}{2} {3}{4}{5}", a.text[0], a.text[1], a.last, b.text[0], b.text[1], b.last);
    }

    static void Main()
    {
        var singles2 = new Singles2 { a = 1, b = 2 };
        var singles4 = new Singles4 { a = 1, b = 2, c = 3, d = 4 };
        var doubles2 = new Doubles2 { a = 5, b = 6 };
        var doubles4 = new Doubles4 { a = 5, b = 6, c = 7, d = 8 };
        var words = new Words5 { a = 1, b = 2, c = 3, d = 4, e = 5 };
        var wide = new Long { a = 7, b = 8 };
        var longs = new Longs2 { a = 3, b = 4 };
        var bytes = new Bytes3 { a = 1, b = 2, c = 3 };

        Console.WriteLine("gaps {0}", gaps(1, 2, singles2, 5, 6, 7));
        Console.WriteLine("doubles at the end {0}", doubles_at_the_end(1, 2, 3, 4, 5, 6, doubles4, 7, 8));
        Console.WriteLine("two doubles at the end {0}", two_doubles_at_the_end(1, 2, 3, 4, 5, 6, 7, doubles2, 8));
        Console.WriteLine("singles at the end {0}", singles_at_the_end(1, doubles4, doubles2, 2, singles4, 3, 4));
        Console.WriteLine("split {0}", split(1, 2, 3, words, 4));
        Console.WriteLine("not split {0}", not_split(1, 2, 3, 4, 5, 6, 7, 8, 9, 1, words, 2));
        Console.WriteLine("aligned {0}", aligned(1, wide, 2));
        Console.WriteLine("aligned on the stack {0}", aligned_on_stack(1, 2, 3, wide, 4, 5));
        Console.WriteLine("whole {0}", whole(1, 2, 3, 4, 5, longs, 6));
        Console.WriteLine("small {0}", small(bytes, new Mixed { a = 1, b = 2 }, new Word { a = 3 }, bytes));

        Singles2 s2 = give_singles2(10);
        Singles4 s4 = give_singles4(20);
        Console.WriteLine("singles {0} {1}, {2} {3} {4} {5}", s2.a, s2.b, s4.a, s4.b, s4.c, s4.d);
        Doubles2 d2 = give_doubles2(30);
        Doubles4 d4 = give_doubles4(40);
        Console.WriteLine("doubles {0} {1}, {2} {3} {4} {5}", d2.a, d2.b, d4.a, d4.b, d4.c, d4.d);
        Mixed mixed = give_mixed(50);
        Words5 five = give_words(60);
        Console.WriteLine("mixed {0} {1}, words {2} {3} {4} {5} {6}", mixed.a, mixed.b, five.a, five.b, five.c, five.d, five.e);
        Long one = give_long(1L << 40);
        Longs2 two = give_longs(-1);
        Console.WriteLine("longs {0} {1}, {2} {3}", one.a, one.b, two.a, two.b);
        Bytes3 three = give_bytes(70);
        Console.WriteLine("bytes {0} {1} {2}, word {3}", three.a, three.b, three.c, give_word(80).a);
        int seen;
        give_empty(90, out seen);
        Console.WriteLine("empty {0}, {1}", seen, take_empty(1, new Empty(), 2));
        FixedBuffers();
    }
}
