// The resource section of saved assemblies: version information and resources from a .res file (of even sizes: Mono loses its place behind others).
using System;
using System.Diagnostics;
using System.IO;
using System.Reflection;
using System.Reflection.Emit;
using System.Text;

class P {
  static string folder;

  static AssemblyBuilder Define(string name) {
    var identity = new AssemblyName(name) { Version = new Version(3, 1, 4, 1) };
    var assembly = AppDomain.CurrentDomain.DefineDynamicAssembly(identity, AssemblyBuilderAccess.RunAndSave, folder);
    foreach (var attribute in new[] { typeof(AssemblyTitleAttribute), typeof(AssemblyDescriptionAttribute), typeof(AssemblyProductAttribute) })
      assembly.SetCustomAttribute(new CustomAttributeBuilder(attribute.GetConstructor(new[] { typeof(string) }), new object[] { attribute.Name + " \u00e4" }));
    assembly.DefineDynamicModule(name, name + ".dll").DefineType("T", TypeAttributes.Public).CreateType();
    return assembly;
  }

  static void Describe(string name) {
    var file = Path.Combine(folder, name);
    var info = FileVersionInfo.GetVersionInfo(file);
    Console.WriteLine("[{0}|{1}|{2}|{3}|{4}|{5}|{6}|{7}|{8}|{9}]", info.FileDescription, info.Comments, info.ProductName, info.ProductVersion, info.CompanyName,
      info.LegalCopyright, info.LegalTrademarks, info.InternalName, info.OriginalFilename, info.FileVersion);
    Console.WriteLine("{0}.{1}.{2}.{3} {4}.{5}.{6}.{7} {8}", info.FileMajorPart, info.FileMinorPart, info.FileBuildPart, info.FilePrivatePart,
      info.ProductMajorPart, info.ProductMinorPart, info.ProductBuildPart, info.ProductPrivatePart, info.Language);
    Console.WriteLine(Assembly.LoadFrom(file).GetType("T"));
  }

  static void AddResource(BinaryWriter writer, int kind, int number, int language, string text) {
    var data = Encoding.ASCII.GetBytes(text);
    writer.Write(data.Length); writer.Write(32);
    writer.Write((ushort)0xffff); writer.Write((ushort)kind); writer.Write((ushort)0xffff); writer.Write((ushort)number);
    writer.Write(0); writer.Write((ushort)0); writer.Write((ushort)language); writer.Write(0); writer.Write(0);
    writer.Write(data);
    while (writer.BaseStream.Position % 4 != 0) writer.Write((byte)0);
  }

  static byte[] file;
  static int sectionAddress, sectionOffset;

  static int Int(int position) { return BitConverter.ToInt32(file, position); }

  static void Walk(int directory, string path) {
    var entries = BitConverter.ToUInt16(file, directory + 12) + BitConverter.ToUInt16(file, directory + 14);
    for (var position = directory + 16; entries-- > 0; position += 8) {
      var inner = path + "/" + Int(position);
      var target = sectionOffset + (Int(position + 4) & 0x7fffffff);
      if (Int(position + 4) < 0) Walk(target, inner);
      else Console.WriteLine(inner + " " + Encoding.ASCII.GetString(file, Int(target) - sectionAddress + sectionOffset, Int(target + 4)));
    }
  }

  static void ReadSection(string name) {
    file = File.ReadAllBytes(Path.Combine(folder, name));
    var header = Int(0x3c);
    var resources = Int(header + 24 + 96 + 16);
    var section = header + 24 + BitConverter.ToUInt16(file, header + 20);
    while (Int(section + 12) != resources) section += 40;
    Console.WriteLine(Encoding.ASCII.GetString(file, section, 5) + " " + (Int(section + 8) >= Int(header + 24 + 96 + 20)));
    sectionAddress = resources;
    sectionOffset = Int(section + 20);
    Walk(sectionOffset, "");
  }

  static void Main() {
    folder = Path.Combine(Path.GetTempPath(), "saki-native-resources-" + Process.GetCurrentProcess().Id);
    Directory.CreateDirectory(folder);
    try {
      var assembly = Define("Attributes");
      assembly.DefineVersionInfoResource();
      assembly.Save("Attributes.dll");
      Describe("Attributes.dll");
      assembly = Define("Explicit");
      assembly.DefineVersionInfoResource("product", "2.7.1.8", "company", "copyright", null);
      assembly.Save("Explicit.dll");
      Describe("Explicit.dll");
      Define("Without").Save("Without.dll");
      Describe("Without.dll");
      assembly = Define("Resources");
      var source = Path.Combine(folder, "some.res");
      using (var writer = new BinaryWriter(File.Create(source))) {
        AddResource(writer, 0, 0, 0, "");
        AddResource(writer, 24, 1, 0, "<assembly />");
        AddResource(writer, 10, 3, 0x407, "hallo!");
        AddResource(writer, 10, 7, 0x407, "zwei");
        AddResource(writer, 10, 7, 0x409, "to");
      }
      assembly.DefineUnmanagedResource(source);
      try { assembly.DefineVersionInfoResource(); } catch (ArgumentException) { Console.WriteLine("once only"); }
      assembly.Save("Resources.dll");
      ReadSection("Resources.dll");
      Console.WriteLine(Assembly.LoadFrom(Path.Combine(folder, "Resources.dll")).GetType("T"));
    } finally { Directory.Delete(folder, true); }
  }
}
