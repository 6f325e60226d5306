// What a file says of itself: version resource, hash algorithm, files, and a strong name in a saved one.
using System;
using System.Configuration.Assemblies;
using System.Diagnostics;
using System.IO;
using System.Reflection;
using System.Reflection.Emit;

[assembly: AssemblyProduct("Product")]
[assembly: AssemblyCompany("Company")]
[assembly: AssemblyDescription("Description")]
[assembly: AssemblyFileVersion("8.9.10")]
[assembly: AssemblyVersion("5.4.3.1")]
[assembly: AssemblyAlgorithmId(AssemblyHashAlgorithm.MD5)]

class Program
{
    // Made with new RSACryptoServiceProvider(512).ExportCspBlob(true).
    const string KeyPair =
        "BwIAAACkAABSU0EyAAIAAAEAAQCdxRl5FRhwg8HGVdZWGOo/sIoWgaRdMLewcwChEEwFdkWelRdvUe33GYg0A7MG+9g0KWvtNh7LlvHY1HENLlLE93r01+zL1b+cPJd4+/Au4TPlOE1YNBr3sQwvd6kLG80LK1ehwSV9rQoHmsyeIQJa7biQNgZBhTcqGs6ZYhsJ9XcIgkfeTgYrvYLrME8BU3AbG3ry1ahE0PhWwDZZ0REtYYlGXzcyP2Z14ACl7QI85/kPnhxtUDyDP1zH9zSTA7H13dlyjU+KMVW8LhzXZMwrl41uymNknkKZ3MgRyrlAerFNV6/xVWeYZtPwwSEg+ZDjw5ofuCGUNllqsSY2EfrVZsh1aiSFqb3zHCbf9QE6FKbYggQeotNqegvf0Sz2zok=";

    static void Main()
    {
        var own = typeof(Program).Assembly;
        var version = FileVersionInfo.GetVersionInfo(own.Location);
        Console.WriteLine(string.Join("|", version.ProductName, version.CompanyName, version.Comments, version.FileVersion,
            version.FileMajorPart, version.FileMinorPart, version.FileBuildPart, version.FilePrivatePart,
            version.ProductMajorPart, version.IsDebug, version.Language, version.SpecialBuild == null));
        Console.WriteLine(own.GetName().HashAlgorithm + " " + typeof(int).Assembly.GetName().HashAlgorithm);
        Console.WriteLine(own.GetFile("none") == null);
        Console.WriteLine(own.GetFiles().Length);

        var folder = Path.Combine(Path.GetTempPath(), "saki" + Guid.NewGuid());
        Directory.CreateDirectory(folder);
        try
        {
            var name = new AssemblyName { Name = "signed", KeyPair = new StrongNameKeyPair(Convert.FromBase64String(KeyPair)) };
            var builder = AppDomain.CurrentDomain.DefineDynamicAssembly(name, AssemblyBuilderAccess.Save, folder);
            builder.DefineDynamicModule("signed", "signed.dll").DefineType("Made", TypeAttributes.Public).CreateType();
            builder.Save("signed.dll");
            var saved = Assembly.LoadFrom(Path.Combine(folder, "signed.dll"));
            Console.WriteLine(saved.FullName + " " + saved.GetType("Made"));

            var bytes = File.ReadAllBytes(saved.Location);
            Console.WriteLine(Signature(bytes) + " bytes");
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }

    // The size of the signature by the header of a file with one section that matters.
    static int Signature(byte[] file)
    {
        int optional = BitConverter.ToInt32(file, 0x3c) + 24;
        int section = optional + BitConverter.ToInt16(file, optional - 4);
        int delta = BitConverter.ToInt32(file, section + 20) - BitConverter.ToInt32(file, section + 12);
        int header = BitConverter.ToInt32(file, optional + 96 + 8 * 14) + delta;
        int start = BitConverter.ToInt32(file, header + 32) + delta, size = BitConverter.ToInt32(file, header + 36);
        return Array.Exists(new ArraySegment<byte>(file, start, size).ToArray(), value => value != 0) ? size : 0;
    }
}

static class Extensions
{
    public static byte[] ToArray(this ArraySegment<byte> segment)
    {
        var copy = new byte[segment.Count];
        Buffer.BlockCopy(segment.Array, segment.Offset, copy, 0, copy.Length);
        return copy;
    }
}
