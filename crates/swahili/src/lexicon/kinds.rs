//! Kinds of nouns and places, and genders of nouns.

/// Formation of a noun's plural, and so its two classes. `Mass` genders have one class and no
/// plural.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gender {
    MWa,
    MMi,
    JiMa,
    KiVi,
    N,
    UN,
    MassM,
    MassMa,
    MassKi,
    MassVi,
    MassN,
    MassZ,
    MassU,
}

/// Semantic kind of a noun, for verbs, garments and places. Kinds before `Thing` are animate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Hash)]
#[rustfmt::skip]
pub(crate) enum Kind {
    // People.
    Being, Person, Adult, Elder, Youth, Man, Woman, Child, Boy, Girl, Baby, Relative, Kin, Pupil, Farmer, Herder, Fisher,
    Sailor, Trader, Teacher, Clerk, Medic, Patient, Driver, Porter, Carpenter, Artisan, Builder, Tailor, Weaver, Cook,
    Baker, Waiter, Police, Athlete, Swimmer, Musician, Singer, Dancer, Painter, Carver, Potter, Smith, Barber, Braider,
    Scientist, Writer, Journalist, Photographer, Official, Traveller, Tourist, Guest, Customer, Cleaner, Villager, Coach,
    // Animals.
    Dog, Cat, Beast, Pet, Cattle, Draught, Milked, Grazing, Poultry, Wader, Fowl, Flyer, Predator, Wild, Grazer, Prey, Bather, Monkey,
    Crawler, Insect, Catch,
    // Things.
    Thing, Fruit, Vegetable, Root, Nut, Grain, Grocery, Flour, Dish, Stirred, Roast, Fried, Egg, Baked, Drink, Hot, Water,
    Basketry, Bag, Spread, Pottery, Vessel, Carried, Blade, Small, Fare, Furniture, Bed, Load, Opened, Woodwork, Lamp,
    Woven, Linen, Sewn, Knitted, Garment, Worn, WornByMen, WornByWomen, Uniform, Book, Notebook, Letter, Written, Report,
    Poem, Exam, Story, Song, Drawn, Picture, Carved, Device, Messaging, Heard, Seen, Played, Blown, Ball, Toy, Gift, Vehicle, Car,
    Tractor, Cycle, Cart, Boat, Net, Building, Guarded, Visited, Room, Wall, Structure, Hole, Material, Timber, Field, Tree,
    Planted, Watered, Flower, Firewood, Fuel, Grass, Rubbish, Medicine, Lesson, Science,
}

/// Activity for which a place is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[rustfmt::skip]
pub(crate) enum PlaceKind {
    Market, Shop, Kitchen, Home, Yard, Farm, Pasture, School, Clinic, Road, Workshop, Site, Beach, Sea, Bush, Shade, Sports,
    Soil, Stage, Office, Library, Station, Restaurant, Village, Waterside, Lounge, Sky,
}
