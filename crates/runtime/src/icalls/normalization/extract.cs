// Prints Mono's tables of Unicode normalization, one a line: a value, or a value, `*` and how often it stands there. They are the ones
// that normalization.rs reads, in their order. A table without a count in the class library ends with the last entry that another leads to.
using System;
using System.Collections.Generic;
using System.Reflection;

static unsafe class Extract
{
    const BindingFlags Any = BindingFlags.Static | BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic;

    static readonly Assembly Library = typeof(object).Assembly;
    static readonly Type Util = Library.GetType("Mono.Globalization.Unicode.NormalizationTableUtil");

    static int Count(string indexer)
    {
        var value = Util.GetField(indexer, Any).GetValue(null);
        return (int)value.GetType().GetField("TotalCount", Any).GetValue(value);
    }

    static void Print(int count, Func<int, int> value)
    {
        var line = new List<string>();
        for (int index = 0, end; index < count; index = end) {
            for (end = index; end < count && value(end) == value(index); end++)
                ;
            line.Add(end - index == 1 ? value(index).ToString() : value(index) + "*" + (end - index));
        }
        Console.WriteLine(string.Join(" ", line));
    }

    static void Main()
    {
        var tables = new object[6];
        Library.GetType("System.Text.Normalization").GetMethod("load_normalization_resource", Any).Invoke(null, tables);
        byte* props = (byte*)(IntPtr)tables[0], combiningClass = (byte*)(IntPtr)tables[5];
        int* mappedChars = (int*)(IntPtr)tables[1];
        short* charMapIndex = (short*)(IntPtr)tables[2], helperIndex = (short*)(IntPtr)tables[3];
        ushort* mapIdxToComposite = (ushort*)(IntPtr)tables[4];
        int mappings = 0;
        for (int index = 0; index < Count("Map"); index++)
            mappings = Math.Max(mappings, charMapIndex[index]);
        for (int index = 0; index < Count("Helper"); index++)
            mappings = Math.Max(mappings, helperIndex[index]);
        while (mappedChars[mappings] != 0)
            mappings++;
        Print(Count("Prop"), index => props[index]);
        // A search for a starter goes on to the end of its mappings, which a 0 more marks.
        Print(mappings + 2, index => index <= mappings ? mappedChars[index] : 0);
        Print(Count("Map"), index => charMapIndex[index]);
        Print(Count("Helper"), index => helperIndex[index]);
        Print(Count("Composite"), index => mapIdxToComposite[index]);
        Print(Count("Combining"), index => combiningClass[index]);
    }
}
