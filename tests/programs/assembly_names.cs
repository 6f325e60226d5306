using System;
using System.IO;
using System.Reflection;

// Display names of assemblies: what is accepted, and what a name says and leaves out.
class AssemblyNames
{
    static string Hex (byte[] bytes)
    {
        return bytes == null ? "null" : bytes.Length == 0 ? "empty" : BitConverter.ToString (bytes).Replace ("-", "").ToLower ();
    }

    static void Say (string label, AssemblyName name)
    {
        var culture = name.CultureInfo == null ? "null" : name.CultureInfo.Name == "" ? "neutral" : name.CultureInfo.Name;
        var key = Hex (name.GetPublicKey ());
        if (key.Length > 40)
            key = key.Length / 2 + " bytes";
        Console.WriteLine ("{0}: '{1}' [{2}] {3} version={4} culture={5} token={6} key={7} flags={8} hash={9}", label, name.Name,
            name.FullName, name.ProcessorArchitecture, name.Version == null ? "null" : name.Version.ToString (), culture,
            Hex (name.GetPublicKeyToken ()), key, name.Flags, name.HashAlgorithm);
    }

    static void Parse (string text)
    {
        var label = text.Length > 60 ? text.Substring (0, 60) + "..." : text;
        try {
            Say (label, new AssemblyName (text));
        } catch (Exception error) {
            Console.WriteLine ("{0}: {1}: {2}", label, error.GetType (), error.Message);
        }
    }

    static void Main ()
    {
        var key = Hex (typeof (System.Linq.Enumerable).Assembly.GetName ().GetPublicKey ());
        var good = "0024000004800000940000000602000000240000525341310004000001000100" + new string ('7', 256);
        foreach (var text in new[] {
            "Simple", "  Spaces  ", "\"Quoted\"", "'Also'", "\"Half", "a/b", "a:b", "a\\b", "a\"b", ",", " , Version=1.2",
            "N, Version=1.2.3.4", "N, version = 1.2", "N, Version=1", "N, Version=1.2.3", "N, Version=1.2.3.4.5", "N, Version=a.b",
            "N, Version=", "N, Version=\"1.2.3.4\"", "N, Version=70000.1", "N, Version=1.2x",
            "N, Culture=neutral", "N, Culture=NEUTRAL", "N, Culture=de", "N, Culture=", "N, Culture='fr-FR'", "N, Language=de",
            "N, PublicKeyToken=null", "N, PublicKeyToken=b77a5c561934e089", "N, PublicKeyToken=B77A5C561934E089",
            "N, PublicKeyToken=b77a", "N, PublicKeyToken=", "N, PublicKeyToken='b77a5c561934e089'",
            "N, PublicKey=null", "N, PublicKey=", "N, PublicKey=0b0a", "N, PublicKey=00000000000000000400000000000000",
            "N, PublicKey=" + good, "N, PublicKey=" + good + "77", "N, PublicKey=" + key,
            "N, ProcessorArchitecture=MSIL", "N, ProcessorArchitecture=x86", "N, ProcessorArchitecture=amd64",
            "N, ProcessorArchitecture=IA64", "N, ProcessorArchitecture=arm", "N, ProcessorArchitecture=None",
            "N, ProcessorArchitecture=", "N, Retargetable=Yes", "N, Retargetable=No", "N, Retargetable=",
            "N, Version=1.0.0.0, Culture=neutral, PublicKeyToken=null, Retargetable=yEs",
            "N, Version=1.0.0.0, Culture=neutral, PublicKeyToken=null, Retargetable=No",
            "N, Version=1.0.0.0, Culture=neutral, PublicKeyToken=null, Retargetable=maybe",
            "N, Version=1.0.0.0, Culture=neutral, Retargetable=Yes", "N, Other=1", "N, Version", "N,", "N, ",
        })
            Parse (text);

        Say ("own", typeof (AssemblyNames).Assembly.GetName ());
        Say ("core", typeof (int).Assembly.GetName ());
        foreach (var reference in typeof (AssemblyNames).Assembly.GetReferencedAssemblies ())
            Say ("reference", reference);

        var file = Path.GetTempFileName ();
        File.WriteAllText (file, "no assembly");
        try {
            AssemblyName.GetAssemblyName (file);
        } catch (BadImageFormatException error) {
            Console.WriteLine (error.FileName == file);
        }
        File.Delete (file);

        // Handlers may know what a name means that cannot be parsed.
        AppDomain.CurrentDomain.AssemblyResolve += (sender, asked) => {
            Console.WriteLine ("asked for {0}", asked.Name);
            return asked.Name.StartsWith ("Known") ? typeof (int).Assembly : null;
        };
        Console.WriteLine (Assembly.Load ("Known, 1.0.0.0, Culture=neutral").GetName ().Name);
        try {
            Assembly.Load ("Unknown, 1.0.0.0");
        } catch (Exception error) {
            Console.WriteLine (error.GetType ());
        }
    }
}
