/* What native_structures.cs calls: each function weighs all that it gets, so that nothing can be exchanged unseen. */

typedef struct { float a, b; } Singles2;
typedef struct { float a, b, c, d; } Singles4;
typedef struct { double a, b; } Doubles2;
typedef struct { double a, b, c, d; } Doubles4;
typedef struct { int a; float b; } Mixed;
typedef struct { int a, b, c, d, e; } Words5;
typedef struct { long long a; int b; } Long;
typedef struct { long long a, b; } Longs2;
typedef struct { unsigned char a, b, c; } Bytes3;
typedef struct { int a; } Word;

static double weigh_words(Words5 s) { return s.a + 2 * s.b + 3 * s.c + 4 * s.d + 5 * s.e; }
static double weigh_singles(Singles4 s) { return s.a + 2 * s.b + 3 * s.c + 4 * s.d; }
static double weigh_doubles(Doubles4 s) { return s.a + 2 * s.b + 3 * s.c + 4 * s.d; }

/* Singles that fill the gaps which alignment left. */
double gaps(float a, double b, Singles2 c, float d, double e, float f)
{
    return a + 10 * b + 100 * c.a + 1000 * c.b + 1e4 * d + 1e5 * e + 1e6 * f;
}

/* Structures of floats that do not fit into what is left of the registers, and floats after them. */
double doubles_at_the_end(double a, double b, double c, double d, double e, double f, Doubles4 g, double h, float i)
{
    return a + b + c + d + e + f + 10 * weigh_doubles(g) + 1000 * h + 1e4 * i;
}
double two_doubles_at_the_end(double a, double b, double c, double d, double e, double f, double g, Doubles2 h, double i)
{
    return a + b + c + d + e + f + g + 10 * h.a + 100 * h.b + 1000 * i;
}
double singles_at_the_end(float a, Doubles4 b, Doubles2 c, float d, Singles4 e, float f, double g)
{
    return a + weigh_doubles(b) + c.a + 2 * c.b + 10 * d + 100 * weigh_singles(e) + 1e4 * f + 1e5 * g;
}

/* Structures between registers and stack. */
double split(int a, int b, int c, Words5 d, int e) { return a + 2 * b + 3 * c + 10 * weigh_words(d) + 1000 * e; }
double not_split(double a, double b, double c, double d, double e, double f, double g, double h, double i, int j, Words5 k, int l)
{
    return a + b + c + d + e + f + g + h + 10 * i + 100 * j + 1000 * weigh_words(k) + 1e6 * l;
}
double aligned(int a, Long b, int c) { return a + 10 * b.a + 100 * b.b + 1000 * c; }
double aligned_on_stack(int a, int b, int c, Long d, int e, long long f)
{
    return a + 2 * b + 3 * c + 10 * d.a + 100 * d.b + 1000 * e + 1e4 * f;
}
double whole(int a, int b, int c, int d, int e, Longs2 f, int g) { return a + b + c + d + e + 10 * f.a + 100 * f.b + 1000 * g; }
double small(Bytes3 a, Mixed b, Word c, Bytes3 d)
{
    return a.a + 2 * a.b + 3 * a.c + 10 * b.a + 100 * b.b + 1000 * c.a + 1e4 * (d.a + 2 * d.b + 3 * d.c);
}

/* Structures as results. */
Singles2 give_singles2(float a) { return (Singles2){ a, a + 1 }; }
Singles4 give_singles4(float a) { return (Singles4){ a, a + 1, a + 2, a + 3 }; }
Doubles2 give_doubles2(double a) { return (Doubles2){ a, a + 1 }; }
Doubles4 give_doubles4(double a) { return (Doubles4){ a, a + 1, a + 2, a + 3 }; }
Mixed give_mixed(int a) { return (Mixed){ a, a + 1 }; }
Words5 give_words(int a) { return (Words5){ a, a + 1, a + 2, a + 3, a + 4 }; }
Long give_long(long long a) { return (Long){ a, (int)a + 1 }; }
Longs2 give_longs(long long a) { return (Longs2){ a, a + 1 }; }
Bytes3 give_bytes(int a) { return (Bytes3){ a, a + 1, a + 2 }; }
Word give_word(int a) { return (Word){ a }; }
typedef struct { } Empty;
Empty give_empty(int a, int *seen) { *seen = a; return (Empty){ }; }
int take_empty(int a, Empty none, int b) { return 10 * a + b; }

/* Fixed buffers of characters. */
typedef struct { char text[5]; char last; } Narrow;
typedef struct { short text[5]; short last; } Wide;
int narrow(Narrow *a)
{
    int sum = a->text[0] + 10 * a->text[4] + 100 * a->last;
    a->text[1] = 'b';
    a->last = 'y';
    return sum;
}
int wide(Wide *a)
{
    int sum = a->text[0] + 10 * a->text[4] + 100 * a->last;
    a->text[1] = 'b';
    a->last = 'y';
    return sum;
}
